# Real servers that tests run against: sourced by scripts/test, or by hand:
#   . scripts/servers.sh && servers_install && servers_start; ...; servers_stop
# Each listens on loopback; its address goes into the variable that the behaviour suite reads.

SERVERS=$PWD/target/servers
MOTO_VERSION=5.2.5
AZURITE_VERSION=3.35.0
AIOSMTPD_VERSION=1.4.6
GCS_VERSION=2026.7.19
PLAYWRIGHT_VERSION=1.65.1
AXE_VERSION=4.14.1
OIDC_VERSION=9.13.3

servers_install() {
  mkdir -p "$SERVERS"
  if [ ! -x /usr/sbin/sshd ] || ! command -v curl >/dev/null; then
    apt-get update -qq
    # The daemon is started here, on a port of its own; Debian's unit must not start.
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      openssh-server openssh-client curl >/dev/null
  fi
  servers_pip moto "moto[server,s3,ec2]==$MOTO_VERSION"
  servers_pip aiosmtpd "aiosmtpd==$AIOSMTPD_VERSION"
  servers_pip gcs "gcp-storage-emulator==$GCS_VERSION"
  servers_npm azurite "azurite@$AZURITE_VERSION"
  servers_npm oidc "oidc-provider@$OIDC_VERSION"
  servers_install_browser
}

# The browser that stands for a person: Debian's Chromium, its driver, and a judge of accessibility.
servers_install_browser() {
  if [ ! -x /usr/bin/chromium ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      chromium fonts-dejavu-core >/dev/null
  fi
  servers_npm browser "playwright-core@$PLAYWRIGHT_VERSION" "axe-core@$AXE_VERSION"
}

# Installs Python packages into a folder of their own, unless just these are there already.
servers_pip() {
  local dir=$SERVERS/$1
  shift
  servers_has "$dir" "$@" && return
  rm -rf "$dir"
  python3 -m venv "$dir"
  "$dir/bin/pip" install -q --disable-pip-version-check "$@"
  echo "$*" > "$dir/installed"
}

# The same for npm's.
servers_npm() {
  local dir=$SERVERS/$1
  shift
  servers_has "$dir" "$@" && return
  rm -rf "$dir"
  mkdir -p "$dir"
  npm install --silent --no-audit --no-fund --prefix "$dir" "$@"
  echo "$*" > "$dir/installed"
}

servers_has() {
  local dir=$1
  shift
  [ "$(cat "$dir/installed" 2>/dev/null)" = "$*" ]
}

servers_start() {
  : > "$SERVERS/pids"
  local moto azurite gcs sshd oidc
  moto=$(servers_port) azurite=$(servers_port) gcs=$(servers_port) sshd=$(servers_port)
  oidc=$(servers_port)
  servers_run moto "$SERVERS/moto/bin/moto_server" -H 127.0.0.1 -p "$moto"
  servers_run azurite "$SERVERS/azurite/node_modules/.bin/azurite-blob" --silent \
    --inMemoryPersistence --blobHost 127.0.0.1 --blobPort "$azurite" --skipApiVersionCheck \
    --disableTelemetry
  # By itself it serves one connection after another, so that a stalled one would stop it.
  servers_run gcs "$SERVERS/gcs/bin/python" -c 'import http.server, sys
http.server.HTTPServer = http.server.ThreadingHTTPServer
from gcp_storage_emulator.__main__ import main
sys.exit(main())' start --host=127.0.0.1 --port="$gcs" --in-memory
  servers_run oidc node scripts/oidc_provider.mjs "$oidc" "$SERVERS/oidc"
  servers_sshd "$sshd"
  servers_wait moto "$moto"
  servers_wait azurite "$azurite"
  servers_wait gcs "$gcs"
  servers_wait sshd "$sshd"
  servers_wait oidc "$oidc"
  servers_smtp "$(servers_port)"
  export BEHAVIOUR_BROWSER=$SERVERS/browser
  export BEHAVIOUR_MOTO=http://127.0.0.1:$moto BEHAVIOUR_AZURITE=http://127.0.0.1:$azurite
  export BEHAVIOUR_GCS=http://127.0.0.1:$gcs
  # To a browser another site than the hub's and Looker's 127.0.0.1, as a vendor is.
  export BEHAVIOUR_OIDC=http://localhost:$oidc
}

# A port that nobody has.
servers_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# OpenSSH with a user, a password and a key of its own.
servers_sshd() {
  local port=$1 dir=$SERVERS/sshd user=sendoff-test
  mkdir -p "$dir" /run/sshd
  [ -f "$dir/host_key" ] || ssh-keygen -q -t ed25519 -N '' -f "$dir/host_key"
  [ -f "$dir/client_key" ] || ssh-keygen -q -t ed25519 -N '' -f "$dir/client_key"
  id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/sh "$user"
  echo "$user:correct-horse-battery" | chpasswd
  cat > "$dir/config" <<CONFIG
Port $port
ListenAddress 127.0.0.1
HostKey $dir/host_key
PidFile none
AuthorizedKeysFile $dir/client_key.pub
StrictModes no
UsePAM no
PasswordAuthentication yes
KbdInteractiveAuthentication no
MaxStartups 200:30:400
MaxSessions 200
Subsystem sftp internal-sftp
CONFIG
  servers_run sshd /usr/sbin/sshd -D -e -f "$dir/config"
  export BEHAVIOUR_SSHD=127.0.0.1:$port BEHAVIOUR_SSHD_DIR=$dir BEHAVIOUR_SSHD_USER=$user
}

# aiosmtpd with STARTTLS and a login. It writes what it gets to a folder.
servers_smtp() {
  local port=$1 pki=crates/sendoff-destinations/src/smtp_email/pki mail
  rm -rf "$SERVERS"/mail.*
  mail=$(mktemp -d "$SERVERS/mail.XXXXXX")
  servers_run aiosmtpd "$SERVERS/aiosmtpd/bin/python" scripts/smtp_server.py "$port" \
    "$mail" "$pki/server.pem" "$pki/server.key.pem"
  servers_wait aiosmtpd "$port"
  export BEHAVIOUR_AIOSMTPD=127.0.0.1:$port BEHAVIOUR_AIOSMTPD_DIR=$mail
}

servers_run() {
  local name=$1
  shift
  setsid "$@" > "$SERVERS/$name.log" 2>&1 < /dev/null &
  echo "$! $name" >> "$SERVERS/pids"
}

# Waits until a server takes connections; shows its log if it ends or never does.
servers_wait() {
  local name=$1 port=$2 tries=0 pid
  pid=$(awk -v name="$name" '$2 == name { print $1 }' "$SERVERS/pids")
  until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$pid" 2>/dev/null; then
      echo "$name did not start on port $port; its log:" >&2
      tail -20 "$SERVERS/$name.log" >&2
      return 1
    fi
    sleep 0.2
  done
}

servers_stop() {
  [ -f "$SERVERS/pids" ] || return 0
  local pid name
  while read -r pid name; do
    kill -- "-$pid" 2>/dev/null || kill "$pid" 2>/dev/null || true
  done < "$SERVERS/pids"
  rm -f "$SERVERS/pids"
}
