// How time passes in programs in which it does.

/** What lives for so long is dead at the end of the step in which it came to be. */
export const SHORT_MS = 40
/** What every step is given before anybody looks. */
export const STEP_MS = 150
