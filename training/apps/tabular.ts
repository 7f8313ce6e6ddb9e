import { type TabularConfig, tabularModel } from '../../models/tabular.ts';
import type { TabularLoaders } from '../data/tables.ts';
import type { Loss } from '../learner/compiled.ts';
import { createLearner, type Learner } from '../learner/learner.ts';
import { accuracy, rmse } from '../learner/metrics.ts';
import type { LearnerOptions } from '../learner/options.ts';
import { crossEntropyLoss, mseLoss } from '../nn/losses.ts';

export interface TabularLearnerOptions
  extends Omit<LearnerOptions, 'model' | 'loss' | 'data'>,
    Pick<TabularConfig, 'layers' | 'embedDrop' | 'dropout'> {
  readonly data: TabularLoaders;
  /** Cross-entropy for classes, else the mean squared error, by default. */
  readonly loss?: Loss;
}

/**
 * tabularLearner: fastai's learner of tables: embeddings of categories beside numbers, hidden `layers` ([200, 100]). Its metric is the accuracy or
 * the root of the mean squared error. `learner.predict(data.encode(row))` is the answer for a row.
 */
export async function tabularLearner(options: TabularLearnerOptions): Promise<Learner> {
  const { data, layers, embedDrop, dropout, ...rest } = options;
  const isClasses = data.kind === 'classes';
  const config: TabularConfig = {
    categories: data.table.categories.map(({ values }) => values.length),
    numbers: data.table.numbers.length,
    outputs: isClasses ? data.vocab!.length : 1,
    ...(layers && { layers }),
    ...(embedDrop !== undefined && { embedDrop }),
    ...(dropout !== undefined && { dropout }),
  };
  return createLearner({
    name: 'tabular',
    loss: isClasses ? crossEntropyLoss : mseLoss,
    metrics: [isClasses ? accuracy() : rmse()],
    ...rest,
    data,
    model: (scope, x) => tabularModel(scope, x, config),
  });
}
