const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

/** `40 s`, `5 min`, `3 h`: rounded up, so that a wait of that length is long enough. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}

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
