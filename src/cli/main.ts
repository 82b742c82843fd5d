// The process: starts oclif, and is the one place that turns outcomes into text and exit statuses. Start-up counts
// here (a warm `cat` has four times `node -e 0` for everything), so nothing is imported that not every command needs.
import { fileURLToPath } from 'node:url';
import { ERROR_TABLE } from '../lib/base/errors.ts';
import { ClosedOutput, interruption } from './interrupt.ts';
import { leanCommand } from './lean-start.ts';
import { drained } from './output.ts';
import { errorDocument, errorLine, isQuietExit, toSeekfsError, wantsJson } from './report.ts';

/** Commands whose stdout carries bytes of files: even their JSON errors go to stderr. */
const BYTE_COMMANDS: ReadonlySet<string> = new Set(['cat', 'readv']);

/** Runs the command line and ends the process with its status. `importMetaUrl` tells oclif where the package is. */
export async function run(argv: string[], importMetaUrl: string): Promise<never> {
  // Nobody reads any more: fetches that are on their way stop too.
  process.stdout.on('error', () => interruption.abort(new ClosedOutput()));
  process.stderr.on('error', () => undefined);
  // The AWS SDK's notice about old versions of Node is for its users, who are not the users of this command.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  interruption.listen();
  // Nothing is left that could go on, and yet the work has no end: Node would leave with 13, which means corrupt here.
  process.once('beforeExit', () => process.exit(fail(new Error('the work stopped without an end'), argv)));
  const status = await runCommand(argv, importMetaUrl);
  // Who was interrupted does not wait for a reader of stdout who takes nothing.
  if (!interruption.signal.aborted) await drained(process.stdout);
  await drained(process.stderr);
  // Idle sockets of pools must not keep a command from ending.
  process.exit(status);
}

async function runCommand(argv: string[], importMetaUrl: string): Promise<number> {
  try {
    const lean = leanCommand(argv);
    if (lean) await lean();
    else {
      const { run: runOclif } = await import('@oclif/core/run');
      await runOclif(argv, fileURLToPath(importMetaUrl));
    }
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (isQuietExit(error) || error instanceof ClosedOutput) return 0;
    if (interruption.signal.reason instanceof ClosedOutput) return 0;
    return fail(error, argv);
  }
}

function fail(thrown: unknown, argv: readonly string[]): number {
  const error = toSeekfsError(thrown);
  if (error.code === 'unexpected' && argv.includes('--log-level=debug'))
    process.stderr.write(`${error.cause as Error}\n`);
  if (!wantsJson(argv)) process.stderr.write(errorLine(error));
  else (BYTE_COMMANDS.has(argv[0] ?? '') ? process.stderr : process.stdout).write(errorDocument(error));
  return ERROR_TABLE[error.code].exitStatus;
}
