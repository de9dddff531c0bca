/**
 * Kubernetes Events about what happens to images: pure decisions, bounded memory, and one writer behind the reviews. Nothing is
 * written for a dry run, and a namespace learns only of its own objects.
 */
export { createImageEvents, type ImageEvents } from './image-events.ts';
export { createEventRecorder, type EventRecorderDeps } from './recorder.ts';
