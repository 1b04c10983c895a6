/** The definitions as they stand in exports. What the lab defined itself is called the lab's own. */
export const REFERENCE_TEXT = {
  scores:
    'F1 and exact match follow the official SQuAD v1.1 script; the language-aware variants follow the official MLQA script keyed by the language of the answer, extended by the lab to el, ru, th, tr and ro (Thai words by Intl.Segmenter).',
  errors: (threshold: number): string =>
    `Error types (content, language, gibberish, refusal, blank) were assigned by the lab’s own detectors; an answer with language-aware F1 of at least ${threshold} counts as correct. The content-only score is the best language-aware score against the gold answer in any language of the set.`,
  oracle: (target: 'answer' | 'gold'): string =>
    `The estimated oracle (the lab’s own form of perturbation-based attribution) leaves out one context sentence at a time and takes the one whose absence lowers the log-probability of ${
      target === 'answer' ? 'the model’s own answer' : 'the gold answer'
    } most; hit@1 is on the sentence holding the gold answer, against chance, with the question swapped for another of the same paragraph as a control.`,
  phasing:
    'Phasing stability (the lab’s own formula) is 1 − (sd(MRD_question/L) + sd(MRD_answer/L)) over items, where MRD, the major relevance depth, is the first layer by which 95 % of a token group’s absolute AttnLRP relevance has accumulated.',
  alignment:
    'Question alignment (the lab’s own) is, per layer, the cosine between the mean hidden state of the question’s tokens under the English question and under its translation, on the same context.',
  patching:
    'Patching (the lab’s own form): the corrupted run asks another question on the same context; the hidden states of one token group of the run with the item’s own question are put into it at one layer, and the effect is the recovered share of the difference between the logits of the two gold answers’ first tokens (of the clean answer’s and the strongest other token where both begin alike). Groups of unequal length meet last token on last token. A flip is a patched run that chooses the clean answer’s token where the corrupted run did not. Effects are given as medians over items.',
} as const;
