// A log-log plot as SVG: one line a series, named at its end.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [720, 400, 60, 140, 20, 50];
const COLOURS = ['#1b6ca8', '#c8553d', '#3a7d44', '#7b4b94'];

function decades(values) {
  return [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))];
}

/** @param {string} path @param {{ x: string, y: string, series: Record<string, [number, number][]> }} plot */
export function writeLogLogPlot(path, { x, y, series }) {
  const points = Object.values(series).flat();
  const [xFrom, xTo] = decades(points.map(([value]) => value));
  const [yFrom, yTo] = decades(points.map(([, value]) => value));
  const atX = (value) => LEFT + ((Math.log10(value) - xFrom) / (xTo - xFrom)) * (WIDTH - LEFT - RIGHT);
  const atY = (value) => HEIGHT - BOTTOM - ((Math.log10(value) - yFrom) / (yTo - yFrom)) * (HEIGHT - TOP - BOTTOM);
  const text = (left, top, content, more = '') => `<text x="${left}" y="${top}" ${more}>${content}</text>`;
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
  for (const [index, [name, line]] of Object.entries(series).entries()) {
    const colour = COLOURS[index % COLOURS.length];
    const path = line.map(([valueX, valueY]) => `${atX(valueX).toFixed(1)} ${atY(valueY).toFixed(1)}`).join('L');
    parts.push(`<path d="M${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    const [lastX, lastY] = line.at(-1);
    parts.push(text(atX(lastX) + 8, atY(lastY) + 4, name, `fill="${colour}"`));
  }
  parts.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x, 'text-anchor="middle"'), text(LEFT, TOP - 6, y));
  mkdirSync(dirname(path), { recursive: true });
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`;
  writeFileSync(path, `${head}<rect width="100%" height="100%" fill="#fff"/>${parts.join('')}</svg>\n`);
}
