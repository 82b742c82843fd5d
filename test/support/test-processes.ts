// Processes that live and die as a test says, for stores that share a disk inside one real process.
import { type Processes, type ProcessIdentity } from '../../src/lib/disk/process-identity.ts';

export class TestProcesses {
  readonly #alive = new Set<string>();
  #born = 0;

  /** A new living process, as it sees itself and the others. */
  begin(): Processes & { readonly identity: ProcessIdentity } {
    this.#born += 1;
    const identity = { bootId: 'boot', pidNamespace: 'pid:[1]', pid: 1000 + this.#born, startTime: String(this.#born) };
    this.#alive.add(identity.startTime);
    return {
      identity,
      current: () => Promise.resolve(identity),
      isRunning: (other) => Promise.resolve(this.#alive.has(other.startTime)),
    };
  }

  end(identity: ProcessIdentity): void {
    this.#alive.delete(identity.startTime);
  }

  endAll(): void {
    this.#alive.clear();
  }
}
