// The process: runs a command's work, and is the one place that turns outcomes into text and exit statuses. Start-up counts
// here (a warm `cat` may take four times what `node -e 0` takes, all in all), so nothing is imported that not every command needs.
import type { Writable } from 'node:stream';
import { ERROR_TABLE, type SeekfsError } from '../lib/base/errors.ts';
import { ClosedOutput, interruption } from './interrupt.ts';
import { drained } from './output.ts';
import { errorDocument, errorLine, isQuietExit, toSeekfsError, wantsJson } from './report.ts';
import { leave, onStdoutFailure, openedStdout, stdout } from './stdout.ts';

/** Commands whose stdout carries bytes of files: even their JSON errors go to stderr. */
const BYTE_COMMANDS: ReadonlySet<string> = new Set(['cat', 'readv']);

/** Does the work of the command line, the command's name first, and ends the process with its status. */
export async function runProcess(argv: readonly string[], work: () => Promise<void>): Promise<never> {
  onStdoutFailure((error) => {
    // Nobody reads any more: fetches that are on their way stop too.
    if (error instanceof ClosedOutput) interruption.abort(error);
    // At once: oclif listens too, and would throw it past everybody.
    else void leave(failOn(process.stderr, error, argv));
  });
  process.stderr.on('error', () => undefined);
  // The AWS SDK's notice about old versions of Node is for its users, who are not the users of this command.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  interruption.listen((status) => void leave(status));
  // A defect that no `catch` saw ends like any other, in one line.
  process.once('uncaughtException', (error) => void leave(fail(error, argv)));
  // Nothing is left that could go on, and yet the work has no end: Node would leave with 13, which means corrupt here.
  process.once('beforeExit', () => void leave(fail(new Error('the work stopped without an end'), argv)));
  const status = await statusOf(argv, work);
  // Who was interrupted does not wait for a reader of stdout who takes nothing.
  const out = openedStdout();
  if (out && !interruption.signal.aborted) await drained(out);
  await drained(process.stderr);
  // Idle sockets of pools must not keep a command from ending.
  return leave(status);
}

async function statusOf(argv: readonly string[], work: () => Promise<void>): Promise<number> {
  try {
    await work();
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (isQuietExit(error) || error instanceof ClosedOutput) return 0;
    if (interruption.signal.reason instanceof ClosedOutput) return 0;
    return fail(error, argv);
  }
}

function fail(thrown: unknown, argv: readonly string[]): number {
  const isBytes = BYTE_COMMANDS.has(argv[0] ?? '');
  return failOn(isBytes ? process.stderr : stdout(), toSeekfsError(thrown), argv);
}

/** Says on stderr, or as a document on `out`, what failed. Returns the exit status. */
function failOn(out: Writable, error: SeekfsError, argv: readonly string[]): number {
  if (wantsJson(argv)) out.write(errorDocument(error));
  else process.stderr.write(errorLine(error));
  return ERROR_TABLE[error.code].exitStatus;
}
