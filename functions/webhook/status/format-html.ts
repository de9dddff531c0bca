import { html } from 'hono/html';
import type { Section } from '../../../lib/status/index.ts';

/** The page without scripts; `html` escapes every value. */
export function formatStatusHtml(sections: readonly Section[]): ReturnType<typeof html> {
  const [first] = sections;
  return html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta http-equiv="refresh" content="5" />
    <meta name="viewport" content="width=device-width" />
    <title>${first?.title ?? 'image-cloner'}</title>
    <style>
      body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
      h1 { font-size: 1.4rem; }
      h2 { font-size: 1.1rem; margin: 1.5rem 0 0.25rem; }
      ul { margin: 0; padding-left: 1.2rem; }
      li { overflow-wrap: anywhere; }
    </style>
  </head>
  <body>
    ${sections.map(({ title, lines }, index) => {
      const heading = index === 0 ? html`<h1>${title}</h1>` : html`<h2>${title}</h2>`;
      return html`<section>${heading}<ul>${lines.map((line) => html`<li>${line}</li>`)}</ul></section>`;
    })}
  </body>
</html>
`;
}
