/** Names and registries' answers are other people's text; terminals obey control characters. */
export function toPrintable(text: string): string {
  return text.toWellFormed().replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}
