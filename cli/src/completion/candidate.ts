/** One way to go on. */
export interface Candidate {
  value: string;
  description: string;
}
