// What `--help` shows: the commands by what they are for instead of by the alphabet, and descriptions as text that
// fits the terminal (in the sources they are lines of their own length). oclif loads it, for help only.
import type { Command } from '@oclif/core/command';
import { CommandHelp, Help } from '@oclif/core/help';

/** Every command has its place in one of these. */
export const COMMAND_GROUPS: Readonly<Record<string, readonly string[]>> = {
  publish: ['put', 'manifest gen', 'rm', 'manifest rollback', 'pin', 'unpin'],
  look: ['ls', 'stat', 'pins', 'manifest head', 'manifest log', 'manifest show', 'manifest diff', 'manifest verify'],
  read: ['cat', 'readv', 'get', 'presign', 'serve'],
  'local cache': ['warm', 'status', 'fsck', 'gc', 'advisor'],
  'getting started': ['demo', 'doctor', 'autocomplete'],
};

/** Lines of one paragraph become one; what is indented keeps its lines. */
export function unwrapped(text: string): string {
  return text.replaceAll(/(\S)\n(?=[^\s])/g, '$1 ');
}

class SeekfsCommandHelp extends CommandHelp {
  /** Without the summary, which is the first line already. */
  protected override description(): string | undefined {
    const { description } = this.command;
    return description === undefined ? undefined : this.wrap(unwrapped(description));
  }
}

export class SeekfsHelp extends Help {
  protected override CommandHelpClass = SeekfsCommandHelp;

  protected override async showRootHelp(): Promise<void> {
    this.log(this.formatRoot());
  }

  override formatRoot(): string {
    const { bin, version, pjson } = this.config;
    const commands = new Map(this.sortedCommands.map((command) => [command.id.replaceAll(':', ' '), command]));
    const row = (name: string): [string, string] => [name, this.#summaryOf(commands.get(name))];
    const groups = Object.entries(COMMAND_GROUPS).map(([title, names]) =>
      this.section(title.toUpperCase(), this.renderList(names.map(row), { indentation: 2 })),
    );
    return [
      this.wrap(`${bin} ${version}: ${pjson.description ?? ''}`),
      this.section('USAGE', `$ ${bin} COMMAND [ARGUMENT…] [--FLAG…]\n$ ${bin} COMMAND --help`),
      ...groups,
      this.section('FLAGS OF EVERY COMMAND', this.wrap(FLAGS)),
    ].join('\n\n');
  }

  #summaryOf(command: Command.Loadable | undefined): string {
    const summary = command && this.summary(command);
    // That of a plugin is in the other style.
    return summary === undefined ? '' : summary.charAt(0).toLowerCase() + summary.slice(1).replace(/\.$/, '');
  }
}

const FLAGS = `--store URL, --cache DIR, --config FILE, --json, --stats, --[no-]progress, --log-level LEVEL; for what reads: --at VERSION, --via URL`;
