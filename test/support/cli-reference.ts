// docs/cli.md as the commands themselves declare it: every command, argument, flag and example. Written by the test
// with `npx vitest run test/docs/cli-reference.test.ts -u`, and compared by it otherwise.
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format } from 'prettier';
import { GLOBAL_FLAGS } from '../../src/cli/flags.ts';

interface Flag {
  readonly type: 'boolean' | 'option';
  readonly char?: string;
  readonly summary?: string;
  readonly helpValue?: string | string[];
  readonly options?: readonly string[];
  readonly allowNo?: boolean;
}

interface CommandClass {
  readonly summary: string;
  readonly description?: string;
  readonly usage?: string;
  readonly strict: boolean;
  readonly args: Readonly<Record<string, { readonly required?: boolean; readonly description?: string }>>;
  readonly flags?: Readonly<Record<string, Flag>>;
  readonly examples?: readonly string[];
}

const commandsPath = fileURLToPath(new URL('../../src/commands', import.meta.url));

const INTRODUCTION = `# The command line

\`seekfs COMMAND\`; \`seekfs COMMAND --help\` says the same as this page.

- Bytes of files go to stdout, and only \`cat\` and \`readv\` write them. What is for people goes to stderr. Where the answer
  is something that a script goes on with, it is on stdout, one a line: the paths of \`ls\`, the URL of \`presign\`, the lines of \`pins\`,
  \`v-3\` of \`manifest head --short\`, the configuration of \`serve --print-config\`.
- \`--json\` prints one JSON document on stdout instead of all of that, also where the command fails
  ([errors.md](errors.md)); \`cat\` and \`readv\` print their error's document on stderr.
- Long commands show a progress bar where stderr is a terminal: bytes, rate, time left, GETs.
- A command without \`--at\` reads HEAD once, at its start, and stays with the version that it finds.
- Ctrl-C (or SIGTERM) stops within a second, leaves nothing half-written and exits with 130; a second one ends the process at
  once. A reader of stdout that goes away (\`| head -c 10\`) ends \`cat\` and \`readv\` quietly, with 0: also while they wait for the
  store, where stdout is a pipe. Any other failure to write to stdout is an error.
- A cache directory that is read-only, full or broken costs a warning; the command reads through to the store.
- Sizes are bytes or a number with a unit (\`64KiB\`, \`8MiB\`; \`K\`, \`M\`, \`G\`, \`T\` are powers of 1024); durations have a
  unit (\`250ms\`, \`30s\`, \`12h\`, \`7d\`); a version is \`3\`, \`v3\`, \`v-3\` or \`3@sha256:…\` with the digest that it must have.
- \`seekfs autocomplete bash\` (or \`zsh\`) sets up completion in the shell.

What \`--stats\` prints at the end, on one line on stderr: \`gets\` and \`get_bytes\` (bytes of files' objects), \`meta_gets\`
(HEAD, manifests, indexes, pins), \`heads\`, \`lists\`, \`puts\`, \`l1_hit_bytes\`, \`l2_hit_bytes\`, \`pages_fetched\`,
\`crc_failures\`, \`elapsed_ms\`.
`;

/** "manifest/gen.ts" is "manifest gen". */
async function loadCommands(): Promise<[string, CommandClass][]> {
  const files = readdirSync(commandsPath, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  return Promise.all(
    files.sort().map(async (file) => {
      const { default: command } = (await import(`${commandsPath}/${file}`)) as { default: CommandClass };
      return [file.replace(/\.ts$/, '').replaceAll('/', ' '), command] as [string, CommandClass];
    }),
  );
}

function flagTable(flags: Readonly<Record<string, Flag>>): string {
  const rows = Object.entries(flags).sort(([a], [b]) => (a < b ? -1 : 1));
  const lines = rows.map(([name, flag]) => {
    const value = flag.type === 'boolean' ? '' : ` ${flag.options?.join('\\|') ?? String(flag.helpValue ?? 'VALUE')}`;
    const short = flag.char ? `-${flag.char}, ` : '';
    return `| \`${short}--${flag.allowNo ? '[no-]' : ''}${name}${value}\` | ${flag.summary ?? ''} |`;
  });
  return ['| flag | |', '| --- | --- |', ...lines].join('\n');
}

function usageOf(name: string, command: CommandClass): string {
  if (command.usage) return command.usage;
  const args = Object.entries(command.args).map(([arg, { required }]) =>
    required ? arg.toUpperCase() : `[${arg.toUpperCase()}]`,
  );
  return [name, ...args].join(' ');
}

function section(name: string, command: CommandClass): string {
  const parts = [`## ${name}`, `${command.summary}.`, `    seekfs ${usageOf(name, command)}`];
  if (command.description) parts.push(command.description);
  if (command.flags && Object.keys(command.flags).length > 0) parts.push(flagTable(command.flags));
  const examples = (command.examples ?? []).map((example) => example.replaceAll('<%= config.bin %>', 'seekfs'));
  if (examples.length > 0) parts.push(`\`\`\`sh\n${examples.join('\n')}\n\`\`\``);
  return parts.join('\n\n');
}

export async function cliReference(): Promise<string> {
  const commands = await loadCommands();
  const parts = [
    INTRODUCTION,
    '## Flags of every command',
    flagTable(GLOBAL_FLAGS),
    ...commands.map(([name, command]) => section(name, command)),
  ];
  return format(parts.join('\n\n'), { parser: 'markdown', printWidth: 120, singleQuote: true });
}
