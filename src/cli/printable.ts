// C0 and C1 controls and DEL are commands to a terminal; line separators and direction overrides make a line look like
// another one.
const UNSAFE = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`

/** Paths and texts that an earlier payload may have chosen, as they may be shown. Within JSON it means the same text. */
export const printable = (text: string): string => text.replace(UNSAFE, escaped)

/** The same for a text that has lines of its own. */
export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n')
