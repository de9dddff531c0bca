import { field, list, text } from '../answer.ts';
import type { Ledger } from '../ledger.ts';

const maxWarningLength = 120;

/** Audits messages and warnings: each is one line without control characters. */
export function auditTerminalText(body: string, ledger: Ledger): void {
  const response = field(JSON.parse(body), 'response');
  const message = text(field(field(response, 'status'), 'message'));
  const warnings = list(field(response, 'warnings')).map(text);
  for (const line of [message, ...warnings]) {
    ledger.check(
      'no message contains control characters',
      !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(line),
      () => JSON.stringify(line),
    );
  }
  for (const warning of warnings) {
    ledger.check(
      'a warning has at most 120 characters',
      warning.length <= maxWarningLength,
      () => warning,
    );
  }
}
