#include "data/error.hpp"
#include "learn/linear_model.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cmath>
#include <fstream>
#include <random>

namespace {

using tape::FeatureMatrix;

nlohmann::json const& goldens() {
    static nlohmann::json const values = [] {
        std::ifstream in{TAPE_SOURCE_DIR "/tests/golden/head_goldens.json"};
        return nlohmann::json::parse(in);
    }();
    return values;
}

FeatureMatrix matrix(nlohmann::json const& rows) {
    FeatureMatrix m(static_cast<Eigen::Index>(rows.size()), static_cast<Eigen::Index>(rows.at(0).size()));
    for (Eigen::Index r = 0; r < m.rows(); ++r)
        for (Eigen::Index c = 0; c < m.cols(); ++c)
            m(r, c) = rows[static_cast<std::size_t>(r)][static_cast<std::size_t>(c)];
    return m;
}

FeatureMatrix random_matrix(Eigen::Index rows, Eigen::Index columns, unsigned seed) {
    std::mt19937 random{seed};
    std::normal_distribution<float> normal;
    return FeatureMatrix::NullaryExpr(rows, columns, [&] { return normal(random); });
}

std::vector<double> linear_values(FeatureMatrix const& x, unsigned seed) {
    std::mt19937 random{seed};
    std::normal_distribution<double> normal;
    Eigen::VectorXd const w = Eigen::VectorXd::NullaryExpr(x.cols(), [&] { return normal(random); });
    Eigen::VectorXd const y = x.cast<double>() * w;
    std::vector<double> values(y.begin(), y.end());
    for (double& value : values) value += 0.5 * normal(random);
    return values;
}

/// Gradient of |y - b - Zw|^2 + lambda |w|^2 at a model on raw features; zero only at the ridge solution.
double largest_gradient(FeatureMatrix const& x, std::vector<double> const& y, tape::LinearModel const& model) {
    auto const scaling = tape::column_scaling(x, 1);
    auto const fitted = tape::predict(model, x, 1);
    double largest = 0, sum = 0;
    for (std::size_t n = 0; n < y.size(); ++n) sum += y[n] - fitted[n];
    for (Eigen::Index d = 0; d < x.cols(); ++d) {
        auto const s = static_cast<std::size_t>(d);
        if (scaling.scale[s] == 0) continue;
        double g = -model.lambda * model.weights[s] / scaling.scale[s];
        for (std::size_t n = 0; n < y.size(); ++n)
            g += (x(static_cast<Eigen::Index>(n), d) - scaling.mean[s]) * scaling.scale[s] * (y[n] - fitted[n]);
        largest = std::max(largest, std::abs(g));
    }
    return std::max(largest, std::abs(sum));
}

/// A block's weight is a scaling of its standardised columns: both forms of the problem must agree with ridge
/// regression on columns scaled by hand, which standardising would undo, so through the gradient of the penalised loss.
TEST(BlockRidge, WeighsBlocksAgainstEachOther) {
    for (Eigen::Index const rows : {60, 9}) { // primal and dual
        auto const x = random_matrix(rows, 12, 5);
        auto const y = linear_values(x, 6);
        std::array const widths{4, 5, 3};
        std::array const weights{1.0, 0.25, 0.0};
        std::array const lambdas{0.5, 20.0};
        auto const models = tape::BlockRidge{x, widths, y, 2}.path(weights, lambdas);
        auto const scaling = tape::column_scaling(x, 1);
        for (std::size_t k = 0; k < lambdas.size(); ++k) {
            auto const fitted = tape::predict(models[k], x, 1);
            Eigen::Index d = 0;
            for (std::size_t block = 0; block < widths.size(); ++block)
                for (int c = 0; c < widths[block]; ++c, ++d) {
                    auto const s = static_cast<std::size_t>(d);
                    if (weights[block] == 0) {
                        EXPECT_EQ(models[k].weights[s], 0);
                        continue;
                    }
                    double g =
                        -lambdas[k] / (weights[block] * weights[block]) * models[k].weights[s] / scaling.scale[s];
                    for (std::size_t n = 0; n < y.size(); ++n)
                        g += (x(static_cast<Eigen::Index>(n), d) - scaling.mean[s]) * scaling.scale[s] *
                             (y[n] - fitted[n]);
                    EXPECT_NEAR(g, 0, 1e-9) << "rows " << rows << ", column " << d;
                }
        }
        // Equal weights are plain ridge regression.
        std::array const equal{1.0, 1.0, 1.0};
        auto const plain = tape::ridge_path(x, y, lambdas, 1),
                   blocks = tape::BlockRidge{x, widths, y, 1}.path(equal, lambdas);
        for (std::size_t k = 0; k < lambdas.size(); ++k)
            for (std::size_t d = 0; d < 12; ++d) EXPECT_NEAR(plain[k].weights[d], blocks[k].weights[d], 1e-10);
    }
}

TEST(RidgePath, AgreesWithScikitLearn) {
    for (char const* name : {"ridge_tall", "ridge_wide"}) {
        auto const& golden = goldens().at(name);
        auto const y = golden.at("y").get<std::vector<double>>();
        auto const lambdas = golden.at("lambdas").get<std::vector<double>>();
        auto const models = tape::ridge_path(matrix(golden.at("x")), y, lambdas, 1);
        ASSERT_EQ(models.size(), lambdas.size());
        for (std::size_t k = 0; k < lambdas.size(); ++k) {
            auto const expected = golden.at("predictions").at(k).get<std::vector<double>>();
            auto const got = tape::predict(models[k], matrix(golden.at("new")), 1);
            for (std::size_t n = 0; n < expected.size(); ++n)
                EXPECT_NEAR(got[n], expected[n], 1e-6 * std::max(1.0, std::abs(expected[n])))
                    << name << " lambda " << lambdas[k];
        }
    }
}

TEST(RidgePath, GradientVanishesAcrossTilesAndBlocks) {
    // More columns than a tile and more rows than a block in the primal; the same with the roles exchanged in the dual.
    for (auto const& [rows, columns] : {std::pair{4500, 450}, std::pair{420, 4200}}) {
        FeatureMatrix const x = random_matrix(rows, columns, 3);
        auto const y = linear_values(x, 4);
        std::vector<double> const lambdas{0.01, 50};
        for (auto const& model : tape::ridge_path(x, y, lambdas, 2))
            EXPECT_LT(largest_gradient(x, y, model), 1e-6 * std::sqrt(rows * columns)) << rows << " x " << columns;
    }
}

TEST(RidgePath, PrimalAndDualMeetWhereRowsAreAppended) {
    // Doubling every row and the penalty leaves the solution as it was, but moves the problem from the dual to the
    // primal.
    FeatureMatrix const x = random_matrix(30, 40, 5);
    auto y = linear_values(x, 6);
    FeatureMatrix doubled(60, 40);
    doubled << x, x;
    auto twice = y;
    twice.insert(twice.end(), y.begin(), y.end());
    auto const dual = tape::ridge_path(x, y, std::vector<double>{2}, 1);
    auto const primal = tape::ridge_path(doubled, twice, std::vector<double>{4}, 1);
    for (std::size_t d = 0; d < 40; ++d) EXPECT_NEAR(dual[0].weights[d], primal[0].weights[d], 1e-9);
    EXPECT_NEAR(dual[0].intercept, primal[0].intercept, 1e-9);
}

TEST(RidgePath, SameBitsForAnyNumberOfThreads) {
    FeatureMatrix const x = random_matrix(1500, 800, 7);
    auto const y = linear_values(x, 8);
    std::vector<double> const lambdas{0.1, 1, 10};
    auto const one = tape::ridge_path(x, y, lambdas, 1), three = tape::ridge_path(x, y, lambdas, 3);
    for (std::size_t k = 0; k < lambdas.size(); ++k) {
        EXPECT_EQ(one[k].weights, three[k].weights);
        EXPECT_EQ(one[k].intercept, three[k].intercept);
        EXPECT_EQ(tape::predict(one[k], x, 1), tape::predict(three[k], x, 3));
    }
}

TEST(RidgePath, ConstantFeaturesGiveTheMean) {
    FeatureMatrix const x = FeatureMatrix::Constant(10, 3, 0.1F);
    std::vector<double> y(10, 1.0);
    y[0] = 11;
    auto const models = tape::ridge_path(x, y, std::vector<double>{1}, 1);
    EXPECT_DOUBLE_EQ(tape::predict(models[0], x, 1)[4], 2.0);
}

TEST(RidgePath, RefusesDifferingSizes) {
    FeatureMatrix const x = random_matrix(4, 2, 1);
    EXPECT_THROW(tape::ridge_path(x, std::vector<double>{1, 2, 3}, std::vector<double>{1}, 1), tape::data_error);
    EXPECT_THROW(tape::ridge_path(FeatureMatrix{0, 2}, std::vector<double>{}, std::vector<double>{1}, 1),
                 tape::data_error);
}

TEST(SoftmaxPath, AgreesWithScikitLearn) {
    auto const& golden = goldens().at("softmax");
    auto const labels = golden.at("labels").get<std::vector<int>>();
    auto const lambdas = golden.at("lambdas").get<std::vector<double>>();
    std::size_t k = 0;
    tape::SoftmaxOptions options;
    options.threads = 1, options.max_iterations = 2000, options.tolerance = 1e-12;
    tape::softmax_path(matrix(golden.at("x")), labels, golden.at("classes"), lambdas, options, [&](auto const& model) {
        double const expected = golden.at("objectives").at(k);
        EXPECT_NEAR(model.objective, expected, 1e-6 * expected);
        FeatureMatrix const probabilities = matrix(golden.at("probabilities").at(k));
        EXPECT_LT((tape::predict(model, matrix(golden.at("new")), 1) - probabilities).cwiseAbs().maxCoeff(), 1e-3);
        ++k;
        return true;
    });
    EXPECT_EQ(k, lambdas.size());
}

TEST(SoftmaxPath, LargeProblemInSinglePrecisionReachesTheOptimum) {
    // 1200 x 900 x 260 > 2^28: the single-precision branch. At an optimum the gradient in W is zero, so that
    // sum_nc (p_nc - y_nc) (x_n . w_c) / N = -lambda |W|^2, checked here in double on the returned model.
    FeatureMatrix const x = random_matrix(1200, 900, 9);
    std::vector<int> labels(1200);
    for (std::size_t n = 0; n < labels.size(); ++n) labels[n] = static_cast<int>(n * 7 % 260);
    tape::SoftmaxOptions options;
    options.threads = 2;
    tape::softmax_path(x, labels, 260, std::vector<double>{0.03}, options, [&](tape::SoftmaxModel const& model) {
        FeatureMatrix const p = tape::predict(model, x, 2);
        Eigen::MatrixXd residual = p.cast<double>();
        double loss = 0;
        for (std::size_t n = 0; n < labels.size(); ++n) {
            loss -= std::log(p(static_cast<Eigen::Index>(n), labels[n]));
            residual(static_cast<Eigen::Index>(n), labels[n]) -= 1;
        }
        Eigen::MatrixXd z = x.cast<double>();
        for (Eigen::Index d = 0; d < 900; ++d)
            z.col(d) = (z.col(d).array() - model.scaling.mean[static_cast<std::size_t>(d)]) *
                       model.scaling.scale[static_cast<std::size_t>(d)];
        Eigen::MatrixXd const weights = model.weights.cast<double>();
        Eigen::MatrixXd const gradient = z.transpose() * residual / 1200 + model.lambda * weights;
        double const objective = loss / 1200 + model.lambda / 2 * weights.squaredNorm();
        EXPECT_NEAR(objective, model.objective, 1e-4 * objective);
        // Strong convexity: the objective is within |gradient|^2 / (2 lambda) of its minimum.
        EXPECT_LT(gradient.squaredNorm() / (2 * model.lambda), 1e-4 * objective);
        return true;
    });
}

TEST(SoftmaxPath, ClassesNeverShownGetNoProbability) {
    FeatureMatrix const x = random_matrix(30, 3, 11);
    std::vector<int> labels(30);
    for (std::size_t n = 0; n < 30; ++n) labels[n] = n % 2 ? 4 : 1;
    tape::softmax_path(x, labels, 6, std::vector<double>{0.1}, {}, [&](tape::SoftmaxModel const& model) {
        FeatureMatrix const p = tape::predict(model, x, 1);
        for (Eigen::Index n = 0; n < 30; ++n) {
            EXPECT_NEAR(p.row(n).sum(), 1, 1e-5);
            for (int c : {0, 2, 3, 5}) EXPECT_EQ(p(n, c), 0);
        }
        return true;
    });
}

TEST(SoftmaxPath, OneClassOnlyIsCertain) {
    FeatureMatrix const x = random_matrix(8, 3, 12);
    std::vector<int> const labels(8, 2);
    tape::softmax_path(x, labels, 3, std::vector<double>{0.1}, {}, [&](tape::SoftmaxModel const& model) {
        EXPECT_FLOAT_EQ(tape::predict(model, x, 1)(0, 2), 1);
        return true;
    });
}

TEST(SoftmaxPath, VisitorEndsThePathAndBadLabelsAreNamed) {
    FeatureMatrix const x = random_matrix(8, 3, 13);
    std::vector<int> labels{0, 1, 0, 1, 0, 1, 0, 1};
    int visits = 0;
    tape::softmax_path(x, labels, 2, std::vector<double>{1, 0.1, 0.01}, {}, [&](auto const&) { return ++visits < 2; });
    EXPECT_EQ(visits, 2);
    labels[5] = 2;
    try {
        tape::softmax_path(x, labels, 2, std::vector<double>{1}, {}, [](auto const&) { return true; });
        FAIL() << "a label outside the classes was accepted";
    } catch (tape::data_error const& problem) {
        EXPECT_STREQ(problem.what(), "class label 2 of training protein 5 is outside 0..1");
    }
}

TEST(RankCorrelation, AveragesTies) {
    // By hand: ranks (1.5, 1.5, 3, 4) against (1, 2, 3, 4): covariance 4.5, spread sqrt(4.5 * 5).
    EXPECT_NEAR(tape::rank_correlation(std::vector<double>{2, 2, 5, 9}, std::vector<double>{-1, 0, 7, 8}),
                4.5 / std::sqrt(4.5 * 5), 1e-12);
    EXPECT_EQ(tape::rank_correlation(std::vector<double>{1, 1, 1}, std::vector<double>{1, 2, 3}), 0);
    EXPECT_NEAR(tape::rank_correlation(std::vector<double>{1, 2, 3}, std::vector<double>{9, 4, 1}), -1, 1e-12);
}

} // namespace
