// Rows: what was measured, against which target, met or missed; as a table for people and as JSON for comparison.

/**
 * @typedef {{
 *   name: string,
 *   unit: string,
 *   result: number,
 *   least?: number, greatest?: number, count?: number,
 *   target?: { atLeast?: number, atMost?: number },
 *   better?: 'more' | 'less',
 *   issue?: number,
 *   detail?: Record<string, unknown>,
 * }} Row
 * `result` is a median where there are several; `issue` is that which set the target.
 */

/** @param {Row} row @returns {'met' | 'missed' | ''} */
export function verdict({ target, result }) {
  if (!target) return '';
  const met = result >= (target.atLeast ?? -Infinity) && result <= (target.atMost ?? Infinity);
  return met ? 'met' : 'missed';
}

/** Whether more is better: as the target says, where there is one. @param {Row} row */
export function moreIsBetter({ target, better }) {
  return target ? target.atLeast !== undefined : better === 'more';
}

export function formatNumber(value) {
  if (!Number.isFinite(value)) return '–';
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return String(Math.round(value));
  return value.toPrecision(3);
}

/** @param {Row} row */
function cells(row) {
  const { target, result, unit } = row;
  const bound = target && (target.atLeast === undefined ? `≤ ${target.atMost}` : `≥ ${target.atLeast}`);
  const spread = row.count > 1 ? `${formatNumber(row.least)}–${formatNumber(row.greatest)} of ${row.count}` : '';
  return [row.name, `${formatNumber(result)} ${unit}`, spread, bound ?? '', verdict(row)];
}

const HEADINGS = ['what', 'result', 'spread', 'target', ''];

/** A Markdown table. @param {readonly Row[]} rows */
export function formatTable(rows) {
  const lines = [HEADINGS, ...rows.map(cells)];
  const widths = HEADINGS.map((_, column) => Math.max(3, ...lines.map((line) => line[column].length)));
  const format = (line) => `| ${line.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  return [format(lines[0]), format(widths.map((width) => '-'.repeat(width))), ...lines.slice(1).map(format)].join('\n');
}
