// A shorter way into the commands that shells call in loops: oclif's parser and command class without its loading of
// configuration, plugins and manifests, which costs a third of the time of a warm 4 KiB `cat`. Used by main.ts only.
import type { Config } from '@oclif/core/config';
import type { SeekfsCommand } from './base-command.ts';

type CommandClass = new (argv: string[], config: Config) => SeekfsCommand;

const COMMANDS: Readonly<Record<string, () => Promise<{ default: CommandClass }>>> = {
  cat: () => import('../commands/cat.ts'),
  ls: () => import('../commands/ls.ts'),
  readv: () => import('../commands/readv.ts'),
  stat: () => import('../commands/stat.ts'),
};

/** What oclif's Command asks of its configuration between construction and the end of `run`; 4.14 is pinned exactly. */
const CONFIG = {
  bin: 'seekfs',
  topicSeparator: ':',
  userAgent: 'seekfs',
  pjson: { oclif: {} },
  runHook: async () => ({ successes: [], failures: [] }),
  scopedEnvVar: () => undefined,
  scopedEnvVarKey: (name: string) => name,
  scopedEnvVarKeys: () => [],
};

/** The command, ready to run; undefined where oclif itself must answer: other commands, and help. */
export async function leanCommand(argv: readonly string[]): Promise<SeekfsCommand | undefined> {
  const [id, ...rest] = argv;
  const load = id === undefined || !Object.hasOwn(COMMANDS, id) ? undefined : COMMANDS[id];
  const end = rest.indexOf('--');
  if (!load || (end === -1 ? rest : rest.slice(0, end)).includes('--help')) return undefined;
  const { default: Command } = await load();
  return new Command(rest, CONFIG as unknown as Config);
}
