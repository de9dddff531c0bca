export { restoredAnnotation } from './opt-out.ts';
export { createRestore, type RestoreDeps, restoreAnnotations } from './restore.ts';
export { createUndoRestore } from './undo-restore.ts';
