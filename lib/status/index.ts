/**
 * What one replica does and what is in its way, for the status page: pure data in, lines of text out. The parts that know are asked
 * when the page is read; only the last refusals and fallbacks are kept, a bounded number.
 */
export { createJournal } from './journal.ts';
export { type Replica, type Section, toSections } from './sections.ts';
