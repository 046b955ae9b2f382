//! The grammar of one JSON value (RFC 8259), checked as the value flows.

use super::{Malformed, What, equal};

/// Checks one JSON value. UTF-8 is not checked here.
#[derive(Debug, Default)]
pub(super) struct Value {
    open: Vec<Container>,
    /// How many containers may be open at once.
    depth: usize,
    state: State,
}

/// How far one chunk led.
pub(super) struct Progress {
    /// Bytes of the chunk that belong to the value.
    pub(super) used: usize,
    /// Whether the value is complete.
    pub(super) done: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// A value must begin.
    #[default]
    Value,
    /// After `[`: a value or `]`.
    FirstItem,
    /// After `{`: a name or `}`.
    FirstName,
    /// After `,` in an object.
    Name,
    Colon,
    /// After a value within a container.
    After,
    String {
        name: bool,
        at: InString,
    },
    Number(Number),
    /// What must still come of `true`, `false` or `null`.
    Literal(&'static [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InString {
    Plain,
    Escape,
    /// So many hexadecimal digits to come.
    Hex(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

impl Value {
    /// Starts over with a new value that may hold `depth` containers within each other.
    pub(super) fn start(&mut self, depth: usize) {
        self.open.clear();
        self.depth = depth;
        self.state = State::Value;
    }

    /// Reads on in `raw`, whose first byte is the body's byte number `base`.
    pub(super) fn scan(&mut self, raw: &[u8], base: u64) -> Result<Progress, Malformed> {
        let mut used = 0;
        while let Some(&byte) = raw.get(used) {
            match self.state {
                State::String { name, at: InString::Plain } => {
                    used += plain_run(&raw[used..]);
                    let Some(&byte) = raw.get(used) else { break };
                    let bad = |what| Malformed { offset: base + used as u64, what };
                    match byte {
                        b'"' => self.state = if name { State::Colon } else { State::After },
                        b'\\' => self.state = State::String { name, at: InString::Escape },
                        _ => return Err(bad(What::Control)),
                    }
                }
                State::Number(number) => match number.next(byte) {
                    Some(next) => self.state = State::Number(next),
                    None if number.may_end() => {
                        // The byte belongs to what follows.
                        self.state = State::After;
                        if self.open.is_empty() {
                            return Ok(Progress { used, done: true });
                        }
                        continue;
                    }
                    None => {
                        return Err(Malformed { offset: base + used as u64, what: What::Number });
                    }
                },
                _ => self
                    .step(byte)
                    .map_err(|what| Malformed { offset: base + used as u64, what })?,
            }
            used += 1;
            if matches!(self.state, State::After) && self.open.is_empty() {
                return Ok(Progress { used, done: true });
            }
        }
        Ok(Progress { used, done: false })
    }

    /// One byte outside the plain run of a string and outside a number.
    fn step(&mut self, byte: u8) -> Result<(), What> {
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.state = match (self.state, byte) {
            (State::String { name, at }, _) => {
                State::String { name, at: at.next(byte).ok_or(What::Escape)? }
            }
            (State::Literal([first, rest @ ..]), _) if *first == byte => match rest {
                [] => State::After,
                _ => State::Literal(rest),
            },
            (State::Literal(_), _) => return Err(What::Expected("'true', 'false' or 'null'")),
            (state, _) if space => state,
            (State::FirstItem, b']') | (State::FirstName, b'}') => self.close(),
            (State::Value | State::FirstItem, _) => return self.begin(byte),
            (State::FirstName | State::Name, b'"') => {
                State::String { name: true, at: InString::Plain }
            }
            (State::Colon, b':') => State::Value,
            (State::After, _) => match (self.open.last(), byte) {
                (Some(Container::Array), b',') => State::Value,
                (Some(Container::Object), b',') => State::Name,
                (Some(Container::Array), b']') | (Some(Container::Object), b'}') => self.close(),
                (Some(Container::Array), _) => {
                    return Err(What::Expected("',' or ']' after an array's item"));
                }
                _ => return Err(What::Expected(super::COMMA_OR_BRACE)),
            },
            (State::FirstName, _) => return Err(What::Expected(super::NAME_OR_BRACE)),
            (State::Name, _) => return Err(What::Expected(super::NAME)),
            (State::Colon | State::Number(_), _) => return Err(What::Expected(super::COLON)),
        };
        Ok(())
    }

    /// The first byte of a value.
    fn begin(&mut self, byte: u8) -> Result<(), What> {
        self.state = match byte {
            b'"' => State::String { name: false, at: InString::Plain },
            b'{' => self.enter(Container::Object, State::FirstName)?,
            b'[' => self.enter(Container::Array, State::FirstItem)?,
            b'-' => State::Number(Number::Minus),
            b'0' => State::Number(Number::Zero),
            b'1'..=b'9' => State::Number(Number::Integer),
            b't' => State::Literal(b"rue"),
            b'f' => State::Literal(b"alse"),
            b'n' => State::Literal(b"ull"),
            _ => return Err(What::Expected(super::VALUE)),
        };
        Ok(())
    }

    fn enter(&mut self, container: Container, next: State) -> Result<State, What> {
        if self.open.len() >= self.depth {
            return Err(What::TooDeep);
        }
        self.open.push(container);
        Ok(next)
    }

    fn close(&mut self) -> State {
        self.open.pop();
        State::After
    }
}

impl InString {
    fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                Some(Self::Plain)
            }
            (Self::Escape, b'u') => Some(Self::Hex(4)),
            (Self::Hex(1), byte) if byte.is_ascii_hexdigit() => Some(Self::Plain),
            (Self::Hex(more), byte) if byte.is_ascii_hexdigit() => Some(Self::Hex(more - 1)),
            _ => None,
        }
    }
}

impl Number {
    fn next(self, byte: u8) -> Option<Self> {
        use Number::{E, Exponent, Fraction, Integer, Minus, Point, Sign, Zero};
        Some(match (self, byte) {
            (Minus, b'0') => Zero,
            (Minus, b'1'..=b'9') | (Integer, b'0'..=b'9') => Integer,
            (Zero | Integer, b'.') => Point,
            (Point | Fraction, b'0'..=b'9') => Fraction,
            (Zero | Integer | Fraction, b'e' | b'E') => E,
            (E, b'+' | b'-') => Sign,
            (E | Sign | Exponent, b'0'..=b'9') => Exponent,
            _ => return None,
        })
    }

    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::Exponent)
    }
}

/// How many bytes stand before the next quote, backslash or control character.
fn plain_run(raw: &[u8]) -> usize {
    let mut length = 0;
    while let Some(run) = raw.get(length..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*run);
        let control = word.wrapping_sub(super::LOW * 0x20) & !word & super::HIGH;
        let hit = equal(word, b'"') | equal(word, b'\\') | control;
        length += hit.trailing_zeros() as usize / 8;
        if hit != 0 {
            return length;
        }
    }
    let rest = raw.get(length..).unwrap_or_default();
    let end = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
    length + end.unwrap_or(rest.len())
}
