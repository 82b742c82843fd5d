// What a command asks of the process itself, beside what the configuration knows of the machine.
import { readFileSync } from 'node:fs';

/** The soft limit of open files; undefined where the system does not tell. */
export function openFilesMax(): number | undefined {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}
