/**
 * Whether what kubectl said of a refused pod is about the backup rather than about the image that was tried: only the second can be
 * got around. Names are left out, since a registry may well be called backup.
 */
export function isAboutBackup(said: string, image: string): boolean {
  return /\bbackup\b/.test(said.replaceAll(image, ''));
}
