/** A moment: how many things had happened. What has not happened has `NEVER`. */
export type Moment = number
export const NEVER = Infinity
