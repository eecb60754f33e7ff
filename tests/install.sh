#!/bin/sh
# Installs what the end-to-end tests drive: Debian packages, and Python packages in a virtual environment of the project's own
# (target/test-tools/venv). Does nothing where all is there; ends with a failure where something cannot be had.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
venv=$(dirname "$here")/target/test-tools/venv
# Debian keeps nginx where only root looks.
PATH=$PATH:/usr/sbin:/sbin

fail() {
    echo "tests/install.sh: $*" >&2
    exit 1
}

# What is missing, as package names: each program below stands for its package.
missing_packages() {
    for pair in nginx:nginx certtool:gnutls-bin certutil:libnss3-tools pki:strongswan-pki \
        java:default-jdk-headless javac:default-jdk-headless openssl:openssl curl:curl python3:python3 faketime:faketime \
        haproxy:haproxy prlimit:util-linux unshare:util-linux pgbouncer:pgbouncer redis-server:redis-server \
        redis-cli:redis-tools promtool:prometheus \
        softhsm2-util:softhsm2 pkcs11-tool:opensc; do
        command -v "${pair%%:*}" >/dev/null 2>&1 || echo "${pair#*:}"
    done
    # strongSwan reads X.509 with elliptic curves through a plugin that is only recommended, not depended upon.
    ls /usr/lib/ipsec/plugins/libstrongswan-openssl.so >/dev/null 2>&1 || echo libstrongswan-standard-plugins
    # Debian keeps the server's programs where only its own scripts look.
    ls /usr/lib/postgresql/15/bin/initdb >/dev/null 2>&1 || echo postgresql-15
    # Debian's python3 has no ensurepip without this package, and so makes no virtual environment.
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || echo python3-venv
}

packages=$(missing_packages | sort -u | tr '\n' ' ')
if [ -n "$packages" ]; then
    command -v apt-get >/dev/null 2>&1 || fail "missing: $packages- and there is no apt-get here; install them by hand"
    if [ "$(id -u)" = 0 ]; then
        root=
    else
        command -v sudo >/dev/null 2>&1 || fail "missing: $packages- and neither root nor sudo is at hand to install them"
        root=sudo
    fi
    echo "tests/install.sh: installing $packages"
    $root env DEBIAN_FRONTEND=noninteractive apt-get -q update || fail "apt-get update failed"
    case " $packages" in
    *" postgresql-15 "*)
        # Its package makes a cluster and starts it, unless it is told otherwise before. The tests start their own.
        $root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends postgresql-common \
            || fail "apt-get could not install: postgresql-common"
        $root sed -i 's/^#\{0,1\} *create_main_cluster.*/create_main_cluster = false/' \
            /etc/postgresql-common/createcluster.conf || fail "the main cluster of postgresql-15 cannot be switched off"
        ;;
    esac
    for package in redis-server prometheus haproxy; do
        case " $packages" in
        *" $package "*)
            # Debian starts these when they are installed, and at each boot. The tests start their own; whoever wants Debian's
            # unmasks it.
            if command -v systemctl >/dev/null 2>&1; then
                $root systemctl --quiet mask "$package.service" || fail "$package.service cannot be masked"
            fi
            ;;
        esac
    done
    # shellcheck disable=SC2086 # a list of words
    $root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $packages \
        || fail "apt-get could not install: $packages"
    packages=$(missing_packages | sort -u | tr '\n' ' ')
    [ -z "$packages" ] || fail "still missing after the installation: $packages"
fi

# A stamp of the list, so that a changed list is installed and an unchanged one costs nothing.
if ! cmp -s "$here/requirements.txt" "$venv/requirements.installed" || ! "$venv/bin/python" -c '' 2>/dev/null; then
    echo "tests/install.sh: making $venv"
    rm -rf "$venv"
    python3 -m venv "$venv" || fail "python3 could not make a virtual environment"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" \
        || fail "pip could not install tests/requirements.txt"
    cp "$here/requirements.txt" "$venv/requirements.installed"
fi
