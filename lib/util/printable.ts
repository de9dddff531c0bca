/** Replaces control and format characters in text from outside, because terminals act on them. */
export function toPrintable(text: string): string {
  return text.toWellFormed().replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}
