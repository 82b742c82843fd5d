// Log-log plots side by side as one SVG: one line a series, named at its end with the slope of its last decade.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { logLogSlope } from './statistics.js';

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [560, 420, 60, 150, 30, 50];
const LABEL_HEIGHT = 14;
const COLOURS = ['#1b6ca8', '#c8553d', '#3a7d44', '#7b4b94', '#b8860b', '#008b8b', '#555555'];

/** @typedef {{ y: string, series: Record<string, [number, number][]> }} Panel */

function decades(values) {
  return [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))];
}

function text(left, top, content, more = '') {
  return `<text x="${left}" y="${top}" ${more}>${content}</text>`;
}

/** Tops of the labels, moved apart where lines end close together. @param {readonly number[]} tops ascending */
function apart(tops) {
  let least = -Infinity;
  return tops.map((top) => (least = Math.max(top, least + LABEL_HEIGHT)));
}

/** @param {Panel} panel @param {string} x */
function drawPanel({ y, series }, x) {
  const points = Object.values(series).flat();
  const [xFrom, xTo] = decades(points.map(([value]) => value));
  const [yFrom, yTo] = decades(points.map(([, value]) => value));
  const atX = (value) => LEFT + ((Math.log10(value) - xFrom) / (xTo - xFrom)) * (WIDTH - LEFT - RIGHT);
  const atY = (value) => HEIGHT - BOTTOM - ((Math.log10(value) - yFrom) / (yTo - yFrom)) * (HEIGHT - TOP - BOTTOM);
  const parts = [];
  for (let power = xFrom; power <= xTo; power += 1) {
    const at = atX(10 ** power);
    parts.push(`<path d="M${at} ${TOP}V${HEIGHT - BOTTOM}" stroke="#ddd"/>`);
    parts.push(text(at, HEIGHT - BOTTOM + 18, `10^${power}`, 'text-anchor="middle"'));
  }
  for (let power = yFrom; power <= yTo; power += 1) {
    const at = atY(10 ** power);
    parts.push(`<path d="M${LEFT} ${at}H${WIDTH - RIGHT}" stroke="#ddd"/>`);
    parts.push(text(LEFT - 8, at + 4, `10^${power}`, 'text-anchor="end"'));
  }
  const lines = Object.entries(series)
    .map(([name, line], index) => ({ name, line, colour: COLOURS[index % COLOURS.length] }))
    .sort((a, b) => b.line.at(-1)[1] - a.line.at(-1)[1]);
  const tops = apart(lines.map(({ line }) => atY(line.at(-1)[1]) + 4));
  for (const [index, { name, line, colour }] of lines.entries()) {
    const path = line.map(([valueX, valueY]) => `${atX(valueX).toFixed(1)} ${atY(valueY).toFixed(1)}`).join('L');
    parts.push(`<path d="M${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    const slope = logLogSlope(line.slice(-2)).toFixed(2);
    parts.push(text(atX(line.at(-1)[0]) + 8, tops[index].toFixed(1), `${name}, ${slope}`, `fill="${colour}"`));
  }
  parts.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x, 'text-anchor="middle"'), text(LEFT, TOP - 10, y));
  return parts.join('');
}

/** @param {string} path @param {{ x: string, panels: readonly Panel[] }} plot */
export function writeLogLogPlot(path, { x, panels }) {
  mkdirSync(dirname(path), { recursive: true });
  const width = WIDTH * panels.length;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT}" font-family="sans-serif" font-size="12">`;
  const drawn = panels.map((panel, index) => `<g transform="translate(${index * WIDTH})">${drawPanel(panel, x)}</g>`);
  writeFileSync(path, `${head}<rect width="100%" height="100%" fill="#fff"/>${drawn.join('')}</svg>\n`);
}
