// How a command that failed ends: one line on stderr (or one JSON document), for main.ts, which has the exit status.
// Never a stack trace.
import { isSeekfsError, SeekfsError, wrapSystemError } from '../lib/base/errors.ts';

/** How oclif's own errors look: they carry the exit status that oclif would give. */
interface OclifError extends Error {
  readonly oclif: { readonly exit?: number | false };
}

function isOclifError(error: unknown): error is OclifError {
  return error instanceof Error && 'oclif' in error && typeof error.oclif === 'object' && error.oclif !== null;
}

/** `--help` and the like end by an exception that is no failure. */
export function isQuietExit(error: unknown): boolean {
  return isOclifError(error) && error.oclif.exit === 0;
}

/** Whatever was thrown, as one of ours. What oclif throws is about the command line. */
export function toSeekfsError(error: unknown): SeekfsError {
  if (isSeekfsError(error)) {
    // oclif writes its own words around the message of a flag's parser.
    const flag = /^Parsing (--\S+) \n\t(.*)\nSee more help with --help$/s.exec(error.message);
    return flag ? new SeekfsError(error.code, `${flag[1]}: ${flag[2]}`, { details: error.details }) : error;
  }
  if (isOclifError(error)) {
    return new SeekfsError('usage', usageLine(error.message), { cause: error });
  }
  return wrapSystemError(error, callOf(error) ?? 'finish');
}

/** "rename /a to /b", where a call of the system failed and nobody said more about it. */
function callOf(error: unknown): string | undefined {
  const { syscall, path, dest } = Object(error) as NodeJS.ErrnoException & { readonly dest?: unknown };
  if (syscall === undefined || path === undefined) return undefined;
  return `${syscall === 'scandir' ? 'list' : syscall} ${path}${typeof dest === 'string' ? ` to ${dest}` : ''}`;
}

/** oclif's messages are several capitalised lines. */
function usageLine(message: string): string {
  const text = message
    .replace(/\n?See more help with --help/, '')
    .replace(/ not found\.$/, ' not found')
    // "Missing 1 required arg:", and on each line a name and a description.
    .replace(/^Missing \d+ required args?:\n([^]*)$/, (_, lines: string) => `missing ${argumentNames(lines)}`)
    // "-dash" may be meant as a name.
    .replace(/^Nonexistent flag: -(?!-).*/, (words) => `${words}; a name that begins with a dash goes behind --`)
    .split('\n')
    .map((line) => line.trim().replaceAll(/\s+/g, ' '))
    .filter((line) => line !== '')
    .join(' ');
  return `${text.charAt(0).toLowerCase()}${text.slice(1)}; see --help`;
}

/** "PATH (path of a file in the manifest)". */
function argumentNames(lines: string): string {
  return lines
    .split('\n')
    .map((line) =>
      line.trim().replace(/^(\S+)\s+(.*)$/, (_, name: string, words: string) => `${name.toUpperCase()} (${words})`),
    )
    .filter((line) => line !== '')
    .join(' and ');
}

/** One line, whatever was in it: names of files and answers of stores may hold anything. */
export function errorLine(error: SeekfsError): string {
  return `error: ${oneLine(error.message)}\n`;
}

export function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what must not reach a terminal
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ');
}

export function errorDocument(error: SeekfsError): string {
  return `${JSON.stringify(error)}\n`;
}

/** Before the command is parsed nothing else tells; `--` ends the flags. */
export function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return (end === -1 ? argv : argv.slice(0, end)).includes('--json');
}
