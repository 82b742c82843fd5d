// The peers, as Debian packages them, and the S3 server that is the common origin. A peer that is not installed is
// named as missing and never replaced.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { quote, run } from './process.js';

/** @typedef {{ endpoint: string, bucket: string, accessKey: string, secretKey: string }} S3Origin */

const BARE_HTTP = fileURLToPath(new URL('./bare-http.js', import.meta.url));

/** Says why a workload, or a part of one, did not run. */
export class Missing extends Error {}

/** The program's path. @param {string} program @throws {Missing} */
export function need(program) {
  try {
    return execFileSync('bash', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
  } catch {
    throw new Missing(`${program} is not installed`);
  }
}

/** @param {string} program */
function has(program) {
  try {
    return need(program) !== '';
  } catch {
    return false;
  }
}

/**
 * The S3 server named by SEEKFS_BENCH_S3 (http://KEY:SECRET@HOST:PORT), with a bucket of its own.
 * @param {string} bucket
 * @returns {Promise<S3Origin & { env: NodeJS.ProcessEnv, remove: () => Promise<void> }>}
 * @throws {Missing}
 */
export async function s3Origin(bucket) {
  const text = process.env.SEEKFS_BENCH_S3;
  if (!text) throw new Missing('SEEKFS_BENCH_S3 (http://KEY:SECRET@HOST:PORT of an S3 server) is not set');
  need('aws');
  const url = new URL(text);
  const origin = { endpoint: url.origin, bucket, accessKey: url.username, secretKey: url.password };
  const env = {
    ...process.env,
    AWS_ACCESS_KEY_ID: origin.accessKey,
    AWS_SECRET_ACCESS_KEY: origin.secretKey,
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_REQUEST_CHECKSUM_CALCULATION: 'when_required',
    AWS_RESPONSE_CHECKSUM_VALIDATION: 'when_required',
  };
  delete env.AWS_CA_BUNDLE;
  const aws = `aws --endpoint-url ${origin.endpoint}`;
  await run(`${aws} s3 mb s3://${bucket}`, { env, allowFailure: true });
  const remove = async () => void (await run(`${aws} s3 rb --force s3://${bucket}`, { env, allowFailure: true }));
  return { ...origin, env, remove };
}

/** Environment in which `rclone … o:BUCKET/KEY` reads the origin. @param {S3Origin} origin */
export function rcloneEnv(origin) {
  const env = {
    ...process.env,
    RCLONE_CONFIG: '/dev/null',
    RCLONE_CONFIG_O_TYPE: 's3',
    RCLONE_CONFIG_O_PROVIDER: 'Ceph',
    RCLONE_CONFIG_O_ACCESS_KEY_ID: origin.accessKey,
    RCLONE_CONFIG_O_SECRET_ACCESS_KEY: origin.secretKey,
    RCLONE_CONFIG_O_ENDPOINT: origin.endpoint,
  };
  delete env.AWS_CA_BUNDLE;
  return env;
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Waits until the check passes; for daemons that say nothing when they are ready. */
async function until(what, check) {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (await check()) return;
    await sleep(50);
  }
  throw new Error(`${what} did not come up`);
}

function daemon(command, args, env) {
  const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise((resolve) => child.on('exit', resolve));
  return { child, ended };
}

/**
 * nginx over a directory: static files with ranges, sendfile, no access log.
 * @param {string} directory its own @param {{ root: string, workers: number, keepsOpen?: boolean }} options `keepsOpen`:
 * it looks at a file once a minute, and not for each request
 */
export async function startNginx(directory, { root, workers, keepsOpen = false }) {
  const program = need('nginx');
  mkdirSync(directory, { recursive: true });
  const port = await freePort();
  const config = join(directory, 'nginx.conf');
  writeFileSync(
    config,
    `worker_processes ${workers}; pid ${directory}/pid; error_log stderr crit; daemon off; user root;
     events { worker_connections 1024; }
     http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; default_type application/octet-stream;
       client_body_temp_path ${directory}/body; proxy_temp_path ${directory}/proxy; fastcgi_temp_path ${directory}/fastcgi;
       uwsgi_temp_path ${directory}/uwsgi; scgi_temp_path ${directory}/scgi; ${keepsOpen ? 'open_file_cache max=1000;' : ''}
       server { listen 127.0.0.1:${port} backlog=512; root ${root}; } }`,
  );
  const { child, ended } = daemon(program, ['-c', config], process.env);
  const url = `http://127.0.0.1:${port}`;
  await until('nginx', () =>
    fetch(url).then(
      () => true,
      () => false,
    ),
  );
  return { url, pid: child.pid, stop: async () => void (child.kill('SIGTERM'), await ended) };
}

/** node:http by itself, which answers ranges of the file from memory. @param {string} file */
export async function startBareHttp(file) {
  const { child, ended } = daemon(process.execPath, [BARE_HTTP, file, String(await freePort())], process.env);
  const url = `http://127.0.0.1:${child.spawnargs.at(-1)}`;
  await until('the bare server', () =>
    fetch(url, { headers: { range: 'bytes=0-0' } }).then(
      () => true,
      () => false,
    ),
  );
  return { url, stop: async () => void (child.kill('SIGTERM'), await ended) };
}

function isMounted(directory) {
  return readFileSync('/proc/self/mounts', 'utf8').includes(` ${directory} `);
}

async function unmount(directory, ended) {
  await run(`fusermount -u ${quote(directory)} || fusermount3 -u ${quote(directory)}`, { allowFailure: true });
  await ended;
}

/** rclone mount with the full VFS cache. @param {string} directory @param {S3Origin} origin */
export async function mountRclone(directory, origin) {
  const program = need('rclone');
  if (!has('fusermount') && !has('fusermount3')) throw new Missing('fuse is not installed');
  const mount = join(directory, 'mount');
  mkdirSync(mount, { recursive: true });
  const args = ['mount', `o:${origin.bucket}`, mount, '--vfs-cache-mode', 'full', '--read-only', '--no-modtime'];
  const { child, ended } = daemon(program, [...args, '--cache-dir', join(directory, 'cache')], rcloneEnv(origin));
  await until('rclone mount', () => isMounted(mount));
  return { path: mount, pid: child.pid, stop: () => unmount(mount, ended) };
}

/** s3fs with its disk cache. @param {string} directory @param {S3Origin} origin */
export async function mountS3fs(directory, origin) {
  const program = need('s3fs');
  const [mount, cache, password] = [join(directory, 'mount'), join(directory, 'cache'), join(directory, 'password')];
  for (const each of [mount, cache]) mkdirSync(each, { recursive: true });
  writeFileSync(password, `${origin.accessKey}:${origin.secretKey}\n`, { mode: 0o600 });
  const options = `url=${origin.endpoint},use_path_request_style,use_cache=${cache},passwd_file=${password},enable_noobj_cache`;
  const env = { ...process.env };
  delete env.AWS_CA_BUNDLE;
  const { child, ended } = daemon(program, [origin.bucket, mount, '-f', '-o', options], env);
  await until('s3fs', () => isMounted(mount));
  return { path: mount, pid: child.pid, stop: () => unmount(mount, ended) };
}
