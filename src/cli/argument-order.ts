// Global flags may stand before the command (`seekfs --config x ls dev`, `seekfs manifest --json head dev`), as other
// tools take them; oclif wants the command first. Puts them behind it, for main.ts. Must not load oclif: start-up counts.

/** Words that are no command without the next one. */
const TOPICS: ReadonlySet<string> = new Set(['manifest']);
const VALUE_FLAGS: ReadonlySet<string> = new Set(['--config', '--store', '--cache', '--via', '--at', '--log-level']);
const SWITCHES: ReadonlySet<string> = new Set(['--progress', '--no-progress', '--json', '--stats']);

/** The command's words first, then the global flags that stood before them, then the rest; as it was where that fails. */
export function commandFirst(argv: readonly string[]): string[] {
  // As other tools have it: "help cat", "version".
  if (argv[0] === 'help') return [...argv.slice(1), '--help'];
  if (argv[0] === 'version' && argv.length === 1) return ['--version'];
  const command: string[] = [];
  const flags: string[] = [];
  let at = 0;
  do {
    const begin = at;
    // Behind a topic oclif would answer any other flag with the topic's help, as if that had been done which was asked for.
    const isFlag = (word = ''): boolean =>
      SWITCHES.has(word) || VALUE_FLAGS.has(nameOf(word)) || (command.length > 0 && /^-./.test(word) && word !== '--');
    while (isFlag(argv[at])) {
      at += VALUE_FLAGS.has(argv[at]!) ? 2 : 1;
    }
    flags.push(...argv.slice(begin, at));
    const word = argv[at];
    // Help, an unknown flag, or no command at all: oclif has words for it.
    if (word === undefined || word.startsWith('-')) return [...argv];
    command.push(word);
    at += 1;
  } while (TOPICS.has(command.at(-1)!));
  return [...command, ...flags, ...argv.slice(at)];
}

/** "--config" of "--config=x". */
function nameOf(word = ''): string {
  return word.slice(0, word.indexOf('=') === -1 ? undefined : word.indexOf('='));
}
