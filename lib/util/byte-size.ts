const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

/** `12 KiB`, `5.5 MiB`, `260 MiB` */
export function formatBytes(bytes: number): string {
  return `${formatIn(bytes, bytes)} ${unitOf(bytes)}`;
}

/** `3 of 12 KiB`, `112 of 260 MiB`: both in the unit of the total. */
export function formatBytesOf(doneBytes: number, totalBytes: number): string {
  return `${formatIn(doneBytes, totalBytes)} of ${formatBytes(totalBytes)}`;
}

function unitOf(totalBytes: number): string {
  return totalBytes < mebibyte ? 'KiB' : 'MiB';
}

/** The number alone, in the unit of the total. */
function formatIn(bytes: number, totalBytes: number): string {
  if (totalBytes < mebibyte) return Math.ceil(bytes / kibibyte).toFixed(0);
  const value = bytes / mebibyte;
  return value.toFixed(value < 10 ? 1 : 0);
}
