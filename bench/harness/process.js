// Runs one command and tells what it cost: wall time, processor time of all it started, peak memory (VmHWM) of the
// largest process. Linux only, by /proc; children are not wrapped, so nothing is added to what they do.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

const SAMPLE_EVERY_MS = 10;
/** USER_HZ, which the kernel shows to programs on every architecture. */
const TICKS_PER_SECOND = 100;

/** Processor seconds of all children that were waited for. */
function childrenCpuSeconds() {
  const fields = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}

function readOr(path, otherwise) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise;
  }
}

/** Peak resident memory so far of the largest process of the tree, in bytes. @param {number} pid */
export function peakBytesOf(pid) {
  const own = Number(/^VmHWM:\s+(\d+) kB/m.exec(readOr(`/proc/${pid}/status`, ''))?.[1] ?? 0) * 1024;
  const children = readOr(`/proc/${pid}/task/${pid}/children`, '').trim();
  return Math.max(own, ...(children === '' ? [] : children.split(' ').map((child) => peakBytesOf(Number(child)))));
}

/**
 * @typedef {{ wallMs: number, firstByteMs: number | undefined, cpuSeconds: number, peakBytes: number, stdout: string,
 *   stderr: string }} Run `firstByteMs`: until the first byte of its stdout, if there was one
 *
 * Runs a shell command line to its end; its stdout should be small (end a pipe in `wc -c`).
 * @param {string} commandLine
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string, allowFailure?: boolean }} [options]
 * @returns {Promise<Run>}
 */
export async function run(commandLine, options = {}) {
  const cpuBefore = childrenCpuSeconds();
  const startMs = performance.now();
  // pipefail: a producer that failed must not pass for a fast one.
  const child = spawn('bash', ['-o', 'pipefail', '-c', commandLine], {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr, peakBytes, wallMs] = ['', '', 0, 0];
  let firstByteMs;
  child.stdout.setEncoding('utf8').on('data', (text) => {
    firstByteMs ??= performance.now() - startMs;
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  const sampler = setInterval(() => (peakBytes = Math.max(peakBytes, peakBytesOf(child.pid))), SAMPLE_EVERY_MS);
  const status = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', () => (wallMs = performance.now() - startMs));
    child.on('close', resolve);
  });
  clearInterval(sampler);
  if (status !== 0 && !options.allowFailure) {
    throw new Error(`exit ${status} of: ${commandLine}\n${stderr.slice(-2000)}`);
  }
  return { wallMs, firstByteMs, cpuSeconds: childrenCpuSeconds() - cpuBefore, peakBytes, stdout, stderr };
}

/** A word for the shell. @param {string} text */
export function quote(text) {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
