// What clients read, by namespace and file, since the server began: the ground for GET /advisor and the status page.
// Bounded: the file that was not read for longest is forgotten first.

export interface FileActivity {
  readonly ns: string;
  readonly path: string;
  /** Requests and extents for it. */
  reads: number;
  /** Bytes that they asked for. */
  readBytes: number;
}

const FILES_MAX = 10_000;

export class Activity {
  readonly #namespaces = new Map<string, Map<string, FileActivity>>();
  #files = 0;

  note(ns: string, path: string, bytes: number): void {
    let files = this.#namespaces.get(ns);
    if (!files) this.#namespaces.set(ns, (files = new Map()));
    let file = files.get(path);
    if (!file) {
      if (this.#files >= FILES_MAX) this.#forgetOne(files);
      files.set(path, (file = { ns, path, reads: 0, readBytes: 0 }));
      this.#files += 1;
    }
    file.reads += 1;
    file.readBytes += bytes;
  }

  /** Of this namespace, or of the first one that has any. */
  #forgetOne(preferred: Map<string, FileActivity>): void {
    const files = preferred.size > 0 ? preferred : [...this.#namespaces.values()].find(({ size }) => size > 0);
    const [oldest] = files?.keys() ?? [];
    if (oldest !== undefined && files!.delete(oldest)) this.#files -= 1;
  }

  /** The most read first, at most `count`. */
  top(count: number, ns?: string): FileActivity[] {
    return [...this.#namespaces.values()]
      .flatMap((files) => [...files.values()])
      .filter((file) => ns === undefined || file.ns === ns)
      .sort((a, b) => b.readBytes - a.readBytes)
      .slice(0, count);
  }
}

/** The same files of several workers, added up. */
export function sumActivity(workers: readonly (readonly FileActivity[])[]): FileActivity[] {
  const sums = new Map<string, FileActivity>();
  for (const { ns, path, reads, readBytes } of workers.flat()) {
    const key = `${ns}\0${path}`;
    const sum = sums.get(key);
    if (sum) {
      sum.reads += reads;
      sum.readBytes += readBytes;
    } else sums.set(key, { ns, path, reads, readBytes });
  }
  return [...sums.values()].sort((a, b) => b.readBytes - a.readBytes);
}
