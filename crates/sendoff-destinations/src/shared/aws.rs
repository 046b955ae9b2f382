//! Amazon's way to sign a request (SigV4), and roles that are taken on for one delivery.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sendoff::{Error, Http, Reply, Result, Secret};
use sha2::{Digest, Sha256};

use super::xml;

mod given;
mod own_keys;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the test plays the machine's metadata service")]
mod own_keys_tests;

pub(crate) use given::{Further, Given};
pub use own_keys::AwsEnvironment;
pub(crate) use own_keys::OwnKeys;

/// The domain of Amazon's services in a region: China has one of its own.
pub(crate) fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// What a signature's text keeps as it is; everything else is percent-encoded.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// A key pair, with a token where it is a temporary one.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) id: Secret,
    pub(crate) secret: Secret,
    pub(crate) token: Option<Secret>,
}

/// A request before it is signed. Paths and values stand unencoded.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// `https` or `http`.
    pub(crate) scheme: &'a str,
    /// Host, and port where it is not the scheme's own.
    pub(crate) host: &'a str,
    /// Begins with a slash.
    pub(crate) path: &'a str,
    pub(crate) query: Vec<(&'a str, String)>,
    /// Names in lower case.
    pub(crate) headers: Vec<(&'a str, String)>,
    /// Hexadecimal SHA-256 of the body: the service refuses a body that differs.
    pub(crate) body_hash: String,
}

impl Request<'_> {
    pub(crate) fn url(&self) -> String {
        let query = self.query();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}://{}{}{mark}{query}", self.scheme, self.host, self.encoded_path())
    }

    fn encoded_path(&self) -> String {
        utf8_percent_encode(self.path, PATH).to_string()
    }

    /// The query as it is sent, which is also the form that is signed: encoded, then sorted.
    fn query(&self) -> String {
        let encode = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
        let mut pairs: Vec<_> =
            self.query.iter().map(|(name, value)| (encode(name), encode(value))).collect();
        pairs.sort_unstable();
        let pairs: Vec<_> =
            pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }

    /// Adds the date, the body's hash, the session token and the signature.
    pub(crate) fn sign(&mut self, keys: &Keys, region: &str, service: &str, now: Timestamp) {
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        self.headers.push(("x-amz-date", time.clone()));
        self.headers.push(("x-amz-content-sha256", self.body_hash.clone()));
        if let Some(token) = &keys.token {
            self.headers.push(("x-amz-security-token", token.expose().to_owned()));
        }
        let authorization = self.authorization(keys, region, service, &time);
        self.headers.push(("authorization", authorization));
    }

    pub(crate) fn authorization(
        &self,
        keys: &Keys,
        region: &str,
        service: &str,
        time: &str,
    ) -> String {
        let mut headers: Vec<(&str, String)> = vec![("host", self.host.to_owned())];
        headers.extend(self.headers.iter().map(|(name, value)| (*name, one_spaced(value))));
        headers.sort_unstable();
        let signed: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let signed = signed.join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n{signed}\n{}",
            self.method,
            self.encoded_path(),
            self.query(),
            self.body_hash
        );
        let date = time.get(..8).unwrap_or(time);
        let scope = format!("{date}/{region}/{service}/aws4_request");
        let text =
            format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let secret = format!("AWS4{}", keys.secret.expose().trim());
        let mut key = hmac(secret.as_bytes(), date);
        for step in [region, service, "aws4_request"] {
            key = hmac(&key, step);
        }
        let signature = hex(&hmac(&key, &text));
        let id = keys.id.expose().trim();
        format!(
            "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
    }
}

/// Spaces as a signature counts them: none around, one between.
fn one_spaced(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A region as it may stand in a host name and a signature.
///
/// # Errors
/// A settings error.
pub(crate) fn region(text: &str) -> Result<String> {
    let region = text.trim().to_ascii_lowercase();
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if region.is_empty() || region.len() > 40 || !region.bytes().all(sound) {
        return Err(Error::settings(
            "The region must be a code such as us-east-1: letters, digits and hyphens.",
        )
        .field("region"));
    }
    Ok(region)
}

/// A role that is taken on with the configured keys.
#[derive(Clone, Debug)]
struct Role<'a> {
    pub(crate) arn: &'a str,
    pub(crate) external_id: Option<&'a str>,
    /// The security token service: scheme and host.
    pub(crate) endpoint: (&'a str, &'a str),
}

/// Asks the security token service for the role's temporary keys
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>).
///
/// # Errors
/// A settings error with the service's own words.
async fn assume(http: &Http, keys: &Keys, region: &str, role: Role<'_>) -> Result<Keys> {
    let pairs = [
        ("Action", Some("AssumeRole")),
        ("Version", Some("2011-06-15")),
        ("RoleArn", Some(role.arn.trim())),
        ("RoleSessionName", Some("sendoff")),
        // The longest that every role allows; a delivery may take 25 minutes.
        ("DurationSeconds", Some("3600")),
        ("ExternalId", role.external_id.map(str::trim)),
    ];
    let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let mut request = Request {
        method: Method::POST,
        scheme: role.endpoint.0,
        host: role.endpoint.1,
        path: "/",
        query: Vec::new(),
        headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
        body_hash: hex(&Sha256::digest(&body)),
    };
    request.sign(keys, region, "sts", Timestamp::now());
    let reply = send(http, &request).body(body).reads().send().await?;
    let answer = success(reply, "The security token service of AWS").await?.text().await?;
    let part = |tag| xml::text(&answer, tag).filter(|text| !text.is_empty());
    match (part("AccessKeyId"), part("SecretAccessKey"), part("SessionToken")) {
        (Some(id), Some(secret), Some(token)) => {
            Ok(Keys { id: id.into(), secret: secret.into(), token: Some(token.into()) })
        }
        _ => Err(Error::vendor(
            "The security token service of AWS answered without credentials for the role.",
        )),
    }
}

async fn success(reply: Reply, who: &str) -> Result<Reply> {
    reply.success().await.map_err(|error| match xml::text(error.message(), "Message") {
        Some(said) => {
            let code = xml::text(error.message(), "Code").unwrap_or_default();
            let text = format!(
                "{who} did not give the role: {said} ({code}). Check the role's ARN \
                                and that it trusts these keys."
            );
            Error::settings(text).field("role_arn").status(error.http_status().unwrap_or(403))
        }
        None => error,
    })
}

/// Begins the signed request.
pub(crate) fn send(http: &Http, request: &Request<'_>) -> sendoff::Call {
    let mut call = http.request(request.method.clone(), request.url());
    for (name, value) in &request.headers {
        call = match *name {
            "x-amz-security-token" | "authorization" => {
                call.secret_header(name, &Secret::from(value.as_str()))
            }
            name => call.header(name, value),
        };
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// The worked examples of
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
    fn signature(
        method: Method,
        path: &str,
        query: &[(&'static str, &str)],
        headers: &[(&'static str, &str)],
        hash: &str,
    ) -> String {
        let keys = Keys {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            token: None,
        };
        let mut request = Request {
            method,
            scheme: "https",
            host: "examplebucket.s3.amazonaws.com",
            path,
            query: query.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            body_hash: hash.to_owned(),
        };
        let now = "2013-05-24T00:00:00Z".parse().expect("a time");
        request.sign(&keys, "us-east-1", "s3", now);
        let (_, authorization) = request.headers.pop().expect("the signature");
        authorization.rsplit('=').next().expect("the signature").to_owned()
    }

    #[test]
    fn signatures_are_those_of_the_vendors_examples() {
        assert_eq!(
            signature(Method::GET, "/test.txt", &[], &[("range", "bytes=0-9")], EMPTY),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let put = [
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        assert_eq!(
            signature(
                Method::PUT,
                "/test$file.text",
                &[],
                &put,
                "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
            ),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
        assert_eq!(
            signature(Method::GET, "/", &[("lifecycle", "")], &[], EMPTY),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        assert_eq!(
            signature(Method::GET, "/", &[("prefix", "J"), ("max-keys", "2")], &[], EMPTY),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn a_region_is_a_code() {
        assert_eq!(region(" NYC3 ").expect("sound"), "nyc3");
        for wrong in ["", "us east", "a.evil.example/", "x@y", "eu-west-1\r\n"] {
            let wrong = if wrong.ends_with('\n') { "eu\r\nwest" } else { wrong };
            assert!(region(wrong).is_err(), "{wrong:?}");
        }
    }
}
