// stdout of this process, opened as late as possible: the stream where text goes or where a terminal or a socket is, the
// descriptor where bytes of files go to a pipe, a file or /dev/null; and the process's way out, which must not hang in a write.
import { fstatSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { Writable } from 'node:stream';
import type { SeekfsError } from '../lib/base/errors.ts';
import { ClosedOutput } from './interrupt.ts';
import { DescriptorOutput } from './descriptor.ts';
import { outputError, streamWriter, type WriteBytes } from './output.ts';

const FD = 1;

let stream: Writable | undefined;
let descriptor: DescriptorOutput | undefined;
let onFailure: (error: ClosedOutput | SeekfsError) => void = () => undefined;

/** What to do when nobody reads any more or the stream fails, whoever writes just then. */
export function onStdoutFailure(listener: typeof onFailure): void {
  onFailure = listener;
}

/** `process.stdout`; touching it makes a pipe non-blocking, which byteOutput does not want. */
export function stdout(): Writable {
  if (!stream) {
    stream = process.stdout;
    stream.on('error', (error) => onFailure(outputError(error)));
  }
  return stream;
}

/** For bytes of files. */
export function byteOutput(): WriteBytes {
  const kind = fstatSync(FD);
  const isBlocking = kind.isFIFO() || kind.isFile() || (kind.isCharacterDevice() && !isatty(FD));
  if (!isBlocking) return streamWriter(stdout());
  const output = (descriptor ??= new DescriptorOutput(FD, () => streamWriter(stdout())));
  if (kind.isFIFO()) output.onReaderGone(() => onFailure(new ClosedOutput()));
  return (buffers) => output.write(buffers);
}

/** The stream where it was opened. */
export function openedStdout(): Writable | undefined {
  return stream;
}

/**
 * Ends the process, whoever may hang in a write. Where that cannot be ended, as by Ctrl-C: a shell sees 130 all the same.
 */
export async function leave(status: number): Promise<never> {
  if (descriptor?.writing && !(await descriptor.giveUp())) {
    process.removeAllListeners('SIGINT');
    process.kill(process.pid, 'SIGINT');
    await new Promise(() => undefined);
  }
  return process.exit(status);
}
