// Text for people: aligned columns, and how a file of a manifest reads on one line. Pure.
import { formatBytes } from '../lib/base/units.ts';
import type { FileEntry } from '../lib/manifest/types.ts';

/** Columns padded to their widest cell; the last one is left as it is. `right`: columns of numbers. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return rows
    .map((row) =>
      row
        .map((cell, column) => {
          if (right.includes(column)) return cell.padStart(widths[column]!);
          return column === row.length - 1 ? cell : cell.padEnd(widths[column]!);
        })
        .join('  '),
    )
    .join('\n');
}

/** "label: value" lines with the values below each other. */
export function sheet(rows: Readonly<Record<string, string | number | undefined>>): string {
  return table(
    Object.entries(rows)
      .filter((row): row is [string, string | number] => row[1] !== undefined)
      .map(([label, value]) => [`${label}:`, String(value)]),
  );
}

export function listingLine(entry: FileEntry): string {
  const time = entry.modifiedAtMs === undefined ? '-'.padEnd(19) : timestamp(entry.modifiedAtMs);
  return `${String(entry.sizeBytes).padStart(14)}  ${time}  ${entry.hash ?? '-'}  ${entry.path}\n`;
}

/** "2026-11-21 08:30:00", UTC. */
export function timestamp(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 19).replace('T', ' ');
}

/** "1.5 GiB (1610612736 bytes)", or "12 B". */
export function bytesForPeople(bytes: number): string {
  return bytes < 1024 ? formatBytes(bytes) : `${formatBytes(bytes)} (${bytes} bytes)`;
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
