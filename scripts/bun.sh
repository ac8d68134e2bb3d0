# Sourced by the other scripts: puts the pinned Bun first in PATH and the dependencies of bun.lock in node_modules.
# Bun's own npm package fetches its binary in a post-install script, which many sites block; the platform
# package that it would pick holds the same binary as an ordinary file, so that one is installed instead.
set -euo pipefail
KONTENA_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$KONTENA_TOP"
BUN_VERSION=$(sed -n 's/.*"packageManager": "bun@\([^"]*\)".*/\1/p' package.json)

if [ "$(bun --version 2>/dev/null)" != "$BUN_VERSION" ]; then
  case $(uname -m) in
    x86_64) bun_package=@oven/bun-linux-x64 ;;
    aarch64) bun_package=@oven/bun-linux-aarch64 ;;
    *) echo "kontena builds on x86-64 and arm64, not on $(uname -m)" >&2; exit 1 ;;
  esac
  if ldd --version 2>&1 | grep -qi musl; then bun_package=$bun_package-musl; fi
  bun_dir=$KONTENA_TOP/.bun/node_modules/$bun_package/bin
  if [ "$("$bun_dir/bun" --version 2>/dev/null)" != "$BUN_VERSION" ]; then
    command -v npm >/dev/null || { echo "no Bun $BUN_VERSION here, and no npm to get it with: apt-get install npm" >&2; exit 1; }
    echo "getting Bun $BUN_VERSION from npm" >&2
    mkdir -p .bun
    npm install --silent --ignore-scripts --no-save --no-audit --no-fund --no-package-lock \
      --prefix .bun "$bun_package@$BUN_VERSION" >&2
  fi
  PATH=$bun_dir:$PATH
fi
export PATH

# The stamp is the lock file that node_modules was made from.
if ! cmp -s bun.lock node_modules/.kontena-lock; then
  bun install --frozen-lockfile --silent >&2
  cp bun.lock node_modules/.kontena-lock
fi

# Names what is built: a kept plan is good for the sources that made it, committed or not.
kontena_sources() { find src spec package.json bun.lock -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16; }
kontena_revision() { git rev-parse --short=12 HEAD 2>/dev/null || echo unknown; }
