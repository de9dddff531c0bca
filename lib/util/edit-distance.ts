/**
 * The number of edits between two words. A transposition counts as one, but only between words of the same letters:
 * `SSL_CERT_FILE`, which OpenSSL reads, is not a misspelt `TLS_CERT_FILE`.
 */
export function editDistance(a: string, b: string): number {
  const distance = levenshtein(a, b);
  return hasSameLetters(a, b) ? distance / 2 : distance;
}

export function hasSameLetters(a: string, b: string): boolean {
  const [first, second] = [a, b].map((word) => word.split('').toSorted().join(''));
  return first === second;
}

function levenshtein(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
