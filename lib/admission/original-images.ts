import * as v from 'valibot';
import { stringMap } from './review.ts';

/** On the object's own metadata, never on the pod template: a change there would restart pods. */
export const originalImagesAnnotation = 'image-cloner/original-images';

/** Reads the annotation: place (`containers/web`) → image as the person wrote it. Anybody may have written it, so it may be nonsense: then it is empty. */
export function parseOriginalImages(text: string | undefined): ReadonlyMap<string, string> {
  if (text === undefined) return new Map();
  try {
    return new Map(Object.entries(v.parse(stringMap, JSON.parse(text)) ?? {}));
  } catch {
    // Not JSON, or not a map of strings: someone else's writing, which only means that we know no originals.
    return new Map();
  }
}

export function formatOriginalImages(images: ReadonlyMap<string, string>): string {
  return JSON.stringify(Object.fromEntries([...images].toSorted(([a], [b]) => (a < b ? -1 : 1))));
}
