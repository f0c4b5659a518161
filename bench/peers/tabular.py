"""One fit of a peer on a table, called by the benchmark `tabular`: prints error (or RMSE), log-loss in nats, area under the ROC curve, seconds of the fit and of scoring.

Arguments: hgb | mlp | xgb, file to train on, file to judge by, number of classes (0 for regression), number of numbers, seed.
Files are lines of tab-separated words without a header: the target, the numbers, then texts, which become one-hot inputs.
"""
import csv
import sys
import time

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

THREADS = 2


def read(path, numbers):
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    target = np.array([float(row[0]) for row in rows])
    table = np.array([[float(word) for word in row[1 : 1 + numbers]] for row in rows]).reshape(len(rows), numbers)
    return target, table, [row[1 + numbers :] for row in rows]


def model_of(kind, classes, seed):
    if kind == "hgb":
        return (HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor)(random_state=seed)
    if kind == "xgb":
        import xgboost

        return (xgboost.XGBClassifier if classes else xgboost.XGBRegressor)(n_jobs=THREADS, random_state=seed, verbosity=0)
    settings = {"hidden_layer_sizes": (256, 256), "early_stopping": True, "random_state": seed}
    network = MLPClassifier(**settings) if classes else TransformedTargetRegressor(MLPRegressor(**settings), transformer=StandardScaler())
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), network)


def main():
    kind, train, test, classes, numbers, seed = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6])
    (y, x, keys), (judged_y, judged_x, judged_keys) = read(train, numbers), read(test, numbers)
    if keys[0]:
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(keys)
        x, judged_x = np.hstack([x, encoder.transform(keys)]), np.hstack([judged_x, encoder.transform(judged_keys)])
    if classes:
        names, y = np.unique(y, return_inverse=True)
    model = model_of(kind, classes, seed)
    start = time.perf_counter()
    model.fit(x, y)
    fitted = time.perf_counter()
    if not classes:
        scores = model.predict(judged_x)
        print(np.sqrt(np.mean((scores - judged_y) ** 2)), 0, 0, fitted - start, time.perf_counter() - fitted)
        return
    scores = model.predict_proba(judged_x)
    scored = time.perf_counter()
    probabilities = np.zeros((len(judged_y), classes))
    probabilities[:, names.astype(int)] = scores
    probabilities = np.clip(probabilities, 1e-15, 1)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    error = np.mean(probabilities.argmax(axis=1) != judged_y)
    area = roc_auc_score(judged_y, probabilities[:, 1]) if classes == 2 else 0
    print(error, log_loss(judged_y, probabilities, labels=range(classes)), area, fitted - start, scored - fitted)


main()
