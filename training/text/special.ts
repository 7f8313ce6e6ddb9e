/** The words in front of every vocabulary, by id: fastai's of 2018 with `xxeos`. Their ids never change. */
export const special = {
  /** A word that is not in the vocabulary. */
  unknown: 'xxunk',
  /** Fills up short texts. */
  padding: 'xxpad',
  /** A text begins. */
  begin: 'xxbos',
  /** A text ends. */
  end: 'xxeos',
  /** A field of a record begins; a number follows. */
  field: 'xxfld',
  /** The next word begins with a capital. */
  capital: 'xxmaj',
  /** The next word is all capitals. */
  capitals: 'xxup',
  /** A number n and something follow: n times that, without spaces. */
  repeated: 'xxrep',
  /** A number n and a word follow: the word n times. */
  repeatedWord: 'xxwrep',
} as const;

export const specialTokens: readonly string[] = Object.values(special);

const asSpecial = new Set(specialTokens);
export const isSpecial = (token: string): boolean => asSpecial.has(token);
