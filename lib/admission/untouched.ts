import { type BackupLocation, isBackup } from '../image/backup-name.ts';
import { tryParse } from './original-images.ts';
import { maxEntries, type ReviewRequest } from './review.ts';
import { podPathOf } from './workload.ts';

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Whether all images of the object are in the backup already, and an update leaves them, as in most reviews, so that it is not parsed.
 * `false` means undecided, also for an object that the schemas of `workload.ts` reject.
 */
export function isUntouched(request: ReviewRequest, backup: BackupLocation): boolean {
  const { object, oldObject, operation } = request;
  const path = podPathOf(request);
  if (!hasPod(object, path, backup)) return false;
  return (
    operation !== 'UPDATE' ||
    (hasPod(oldObject, path) && listImages(object, path) === listImages(oldObject, path))
  );
}

/** Whether `parseWorkload` accepts the object, and all its images are below `backup`, if that is given. */
function hasPod(object: unknown, path: readonly string[], backup?: BackupLocation): boolean {
  if (!isObject(object) || !isMetadata(object['metadata'])) return false;
  let pod: JsonObject = object;
  for (const key of path) {
    const next = pod[key];
    if (!isObject(next)) return false;
    pod = next;
  }
  const { metadata, spec } = pod;
  if (!isAbsent(metadata)) {
    if (!isObject(metadata) || !isStringMap(metadata['labels'])) return false;
    if (!isAbsent(metadata['annotations']) && !isObject(metadata['annotations'])) return false;
  }
  return (
    isObject(spec) &&
    areContainers(spec['containers'], backup) &&
    areContainers(spec['initContainers'], backup) &&
    areContainers(spec['ephemeralContainers'], backup) &&
    areVolumes(spec['volumes']) &&
    isOptionalText(spec['serviceAccountName']) &&
    isOptionalText(spec['serviceAccount']) &&
    isList(spec['imagePullSecrets'], hasOptionalName)
  );
}

/** The images of the containers in one text, to compare them. */
function listImages(object: unknown, path: readonly string[]): string {
  let node = object;
  for (const key of [...path, 'spec']) node = isObject(node) ? node[key] : undefined;
  const pod = isObject(node) ? node : {};
  return JSON.stringify(
    ['containers', 'initContainers', 'ephemeralContainers'].map((list) => {
      const containers = pod[list];
      if (!Array.isArray(containers)) return [];
      return containers.map((container: unknown) => isObject(container) && container['image']);
    }),
  );
}

function areContainers(value: unknown, backup: BackupLocation | undefined): boolean {
  if (isAbsent(value)) return true;
  if (!Array.isArray(value) || value.length > maxEntries) return false;
  for (const container of value) {
    if (!hasOptionalName(container)) return false;
    const { image, imagePullPolicy } = container;
    if (!isOptionalText(image) || !isOptionalText(imagePullPolicy)) return false;
    if (backup === undefined) continue;
    if (typeof image !== 'string' || imagePullPolicy === 'Never') return false;
    const reference = tryParse(image);
    if (reference instanceof Error || !isBackup(reference, backup)) return false;
  }
  return true;
}

/** Volumes with images are rare. */
function areVolumes(value: unknown): boolean {
  return isList(value, (volume) => hasOptionalName(volume) && isAbsent(volume['image']));
}

function isMetadata(value: unknown): boolean {
  if (isAbsent(value)) return true;
  return (
    isObject(value) &&
    isOptionalText(value['uid']) &&
    isStringMap(value['labels']) &&
    isStringMap(value['annotations']) &&
    isList(value['ownerReferences'], isOwner)
  );
}

function isOwner(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { apiVersion, kind, controller } = value;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return false;
  return isAbsent(controller) || typeof controller === 'boolean';
}

function hasOptionalName(value: unknown): value is JsonObject {
  return isObject(value) && isOptionalText(value['name']);
}

function isStringMap(value: unknown): boolean {
  if (isAbsent(value)) return true;
  if (!isObject(value)) return false;
  const texts = Object.values(value);
  return texts.length <= maxEntries && texts.every(isText);
}

function isList(value: unknown, isItem: (item: unknown) => boolean): boolean {
  if (isAbsent(value)) return true;
  return Array.isArray(value) && value.length <= maxEntries && value.every(isItem);
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isOptionalText(value: unknown): boolean {
  return isAbsent(value) || isText(value);
}

function isAbsent(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}
