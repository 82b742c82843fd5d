// Keys that are legal in S3 and awkward for a file system or a URL: what they are called, and their part after a prefix.
export function strangeKeys(): [name: string, tail: string][] {
  return [
    ['that ends in a slash', 'directory/'],
    ['with an empty component', 'a//b'],
    ['with a leading slash', '/a'],
    ['with only slashes', '///'],
    ['with a dot component', 'a/./b'],
    ['with a dot-dot component', 'a/../b'],
    ['that would climb out', '../../../../etc/passwd'],
    ['that ends in dot-dot', 'a/..'],
    ['with a component of 300 bytes', `${'n'.repeat(300)}/x`],
    ['with a component of 80 and one of 160 bytes', `${'m'.repeat(80)}/${'n'.repeat(160)}/x`],
    ['of 1,024 bytes in one component', 'k'.repeat(1024)],
    ['of 1,024 bytes in many components', 'k/'.repeat(512)],
    ['with spaces and signs', 'a b+c&d=e?f#g;h:i@j,k\'l"m<n>o|p*q%r$s!t(u)v'],
    ['that looks escaped', 'a%2Fb%20c%%'],
    ['with a backslash', 'a\\b'],
    ['in other scripts', 'данные/データ/نص/ä/é'],
    ['beyond the basic plane', '\u{1F4A9}/\u{10FFFF}'],
    ['with a tab and a line feed', 'a\tb\nc'],
    ['like a private directory', '.seekfs/objects/f-x'],
    ['of a dot file', '.hidden'],
  ];
}
