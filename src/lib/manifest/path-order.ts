// The one order of paths and keys: by the bytes of their UTF-8, as S3 lists them. Pure.

/** Negative, zero or positive, as for sort. UTF-16 order differs only where surrogates meet U+E000 and above. */
export function comparePaths(a: string, b: string): number {
  if (a === b) return 0;
  const shorter = Math.min(a.length, b.length);
  let at = 0;
  while (at < shorter && a.charCodeAt(at) === b.charCodeAt(at)) at += 1;
  if (at === shorter) return a.length - b.length;
  const unitA = a.charCodeAt(at);
  const unitB = b.charCodeAt(at);
  const isSurrogateA = unitA >= 0xd800 && unitA <= 0xdfff;
  const isSurrogateB = unitB >= 0xd800 && unitB <= 0xdfff;
  if (isSurrogateA !== isSurrogateB && unitA >= 0xd800 && unitB >= 0xd800) return isSurrogateA ? 1 : -1;
  return unitA - unitB;
}
