#include "data/error.hpp"
#include "data/own_task.hpp"

#include "tests/data/scratch.hpp"
#include <gtest/gtest.h>

namespace tape {
namespace {

class OwnTask : public test::Scratch {
  protected:
    /// Message of what goes wrong, without the folder.
    std::string message(std::string const& content, std::string const& name = "mine.csv") const {
        auto const path = file(name, content);
        auto const outcome = test::outcome_of([&] {
            Task const task = own_task(path);
            for (auto const& split : {"train", "valid", "test"}) (void)load_split(task, split);
        });
        std::string text = outcome.message;
        if (text.starts_with(path.string())) text = text.substr(directory.string().size() + 1);
        return text;
    }
};

TEST_F(OwnTask, OfValues) {
    Task const task =
        own_task(file("my_assay.csv", "id,sequence,split,value,parent\n"
                                      "a,MKV,train,0.5,p\nb,MKW,train,-1e3,p\nc,MKY,valid,2,q\nd,MKL,test,3,q\n"));
    EXPECT_EQ(task.name, "my_assay");
    EXPECT_EQ(task.title, "my_assay (Spearman)");
    EXPECT_EQ(task.kind, TaskKind::protein_value);
    auto const train = load_split(task, "train"), test = load_split(task, "test");
    ASSERT_EQ(train.examples.size(), 2U);
    EXPECT_EQ(train.examples[1].value, -1000);
    EXPECT_EQ(train.examples[0].protein.residues, "MKV");
    EXPECT_EQ(train.examples[0].attributes, (std::map<std::string, std::string>{{"parent", "p"}}));
    EXPECT_EQ(test.examples.at(0).protein.id, "d");
}

TEST_F(OwnTask, OfClasses) {
    Task const task =
        own_task(file("where.json", R"([{"id": "a", "sequence": "MKV", "split": "train", "class": "nucleus"},
        {"id": "b", "sequence": "MKW", "split": "valid", "class": "cytosol"},
        {"id": "c", "sequence": "MKY", "split": "test", "class": "nucleus"}])"));
    EXPECT_EQ(task.kind, TaskKind::protein_class);
    EXPECT_EQ(task.class_names, (std::vector<std::string>{"cytosol", "nucleus"}));
    EXPECT_EQ(load_split(task, "train").examples.at(0).class_label, 1);
    Task const numbered =
        own_task(file("ec.jsonl", "{\"id\":\"a\",\"sequence\":\"MKV\",\"split\":\"train\",\"class\":10}\n"
                                  "{\"id\":\"b\",\"sequence\":\"MKV\",\"split\":\"valid\",\"class\":2}\n"
                                  "{\"id\":\"c\",\"sequence\":\"MKV\",\"split\":\"test\",\"class\":2}\n"));
    EXPECT_EQ(numbered.class_names, (std::vector<std::string>{"2", "10"}));
    EXPECT_EQ(load_split(numbered, "train").examples.at(0).class_label, 1);
}

TEST_F(OwnTask, OfResidues) {
    Task const task = own_task(file("burial.csv", "id,sequence,split,labels,valid_mask\na,MKVL,train,BE-B,1111\n"
                                                  "b,MK,valid,BB,10\nc,MK,test,EE,11\n"));
    EXPECT_EQ(task.kind, TaskKind::residue_class);
    EXPECT_EQ(task.class_names, (std::vector<std::string>{"B", "E"}));
    auto const example = load_split(task, "train").examples.at(0);
    EXPECT_EQ(example.residue_labels, (std::vector<std::int16_t>{0, 1, -1, 0}));
    EXPECT_EQ(example.valid_mask, (std::vector<std::uint8_t>{1, 1, 0, 1})) << "unlabelled residues do not count";
    EXPECT_EQ(load_split(task, "valid").examples.at(0).valid_mask, (std::vector<std::uint8_t>{1, 0}));
    Task const digits =
        own_task(file("digits.csv", "id,sequence,split,labels\na,MK,train,57\nb,MK,valid,75\nc,MK,test,77\n"));
    EXPECT_EQ(load_split(digits, "train").examples.at(0).residue_labels, (std::vector<std::int16_t>{0, 1}))
        << "digits are names, not numbers of classes";
}

TEST_F(OwnTask, OfPairs) {
    std::string const tail = "b,MKVLAAAAAA,valid,\nc,MKVLAAAAAA,test,1-8\n";
    Task const task = own_task(file("pairs.csv", "id,sequence,split,contacts\na,MKVLAAAAAA,train,1-8 9-2\n" + tail));
    EXPECT_EQ(task.kind, TaskKind::residue_pair);
    EXPECT_EQ(load_split(task, "train").examples.at(0).contacts, (std::vector<std::array<int, 2>>{{0, 7}, {1, 8}}));
    EXPECT_TRUE(load_split(task, "valid").examples.at(0).contacts.empty());
    Task const same =
        own_task(file("same.jsonl", R"({"id":"a","sequence":"MKVLAAAAAA","split":"train","contacts":[[1,8],[9,2]]}
{"id":"b","sequence":"MKVLAAAAAA","split":"valid","contacts":[]}
{"id":"c","sequence":"MKVLAAAAAA","split":"test","contacts":"1-8"})"));
    EXPECT_EQ(load_split(same, "train").examples.at(0).contacts, (std::vector<std::array<int, 2>>{{0, 7}, {1, 8}}));
    EXPECT_EQ(message("id,sequence,split,contacts\na,MKVLAAAAAA,train,1-11\n" + tail),
              "mine.csv:2: column 'contacts' has residue 11 of 10 (record 'a')");
    EXPECT_EQ(message("id,sequence,split,contacts\na,MKVLAAAAAA,train,1-8 9\n" + tail),
              "mine.csv:2: column 'contacts' has an odd number of positions; expected pairs such as 3-17 (record 'a')");
    EXPECT_EQ(message("id,sequence,split,contacts\na,MKVLAAAAAA,train,1--8\n" + tail),
              "mine.csv:2: column 'contacts' is ''; expected a finite number (record 'a')");
    EXPECT_EQ(
        message("id,sequence,split,contacts\na,MKVLAAAAAA,train,0-8\n" + tail),
        "mine.csv:2: column 'contacts' has the pair 0.000000, 8.000000; expected two residues, counted from 1 (record "
        "'a')");
}

TEST_F(OwnTask, EveryFlawHasItsMessage) {
    std::string const head = "id,sequence,split,value\n", rest = "b,MKV,valid,1\nc,MKV,test,1\n";
    EXPECT_EQ(message(head + "a,MKV,train,1\n" + rest), "");
    EXPECT_EQ(message("id,sequence,split\na,MKV,train\n"),
              "mine.csv:1: no column says what to predict; name one value, class, labels or contacts; it has 'id, "
              "sequence and split'");
    EXPECT_EQ(message("id;sequence;split;value\na;MKV;train;1\n"),
              "mine.csv:1: no column says what to predict; name one value, class, labels or contacts; it has "
              "'id;sequence;split;value': separate columns by commas, not by semicolons");
    EXPECT_EQ(
        message("id,sequence,split,value,class\na,MKV,train,1,x\n"),
        "mine.csv:1: columns 'value' and 'class' both name a label; a task has one: value, class, labels or contacts");
    EXPECT_EQ(message("id,sequence,value\na,MKV,1\n"),
              "mine.csv:1: column 'split' is missing; give train, valid or test for each record; it has 'id, sequence "
              "and value'");
    EXPECT_EQ(message(head + "a,MKV,training,1\n" + rest),
              "mine.csv:2: column 'split' is 'training'; expected train, valid or test (record 'a')");
    EXPECT_EQ(message(R"([{"id": "a", "sequence": "MKV", "split": "train", "value": 1},
        {"id": "b", "sequence": "MKW", "split": "tset", "value": 1}])",
                      "mine.json"),
              "mine.json, record 2: column 'split' is 'tset'; expected train, valid or test (record 'b')");
    EXPECT_EQ(message(head + rest),
              "mine.csv: no record of split 'train'; every task needs some to train on, some to choose "
              "by and some to test on");
    EXPECT_EQ(message(head + "a,MKV,train,much\n" + rest),
              "mine.csv:2: column 'value' is 'much'; expected a finite number (record 'a')");
    EXPECT_EQ(message(head + "a,MKV,train\n" + rest), "mine.csv:2: 3 columns where the header has 4 (record 'a')");
    EXPECT_EQ(message("id,seqence,split,value\na,MKV,train,1\n" + rest),
              "mine.csv:1: column 'sequence' is missing; task 'mine' needs id, sequence, split and value, the header "
              "has 'id, "
              "seqence, split and value' (did you mean `seqence`?)");
    EXPECT_EQ(message(head + "a,,train,1\n" + rest),
              "mine.csv:2: column 'sequence' is empty; a protein needs residues (record 'a')");
    EXPECT_EQ(message("id,sequence,split,class\na,MKV,train,x\nb,MKV,valid,x\nc,MKV,test,x\n"),
              "mine.csv: column 'class' has 1 class; at least two are needed");
    EXPECT_EQ(message("[1, 2]", "mine.json"), "mine.json, record 1: '1' is no JSON object");
    EXPECT_EQ(message("[{\"id\": ", "mine.json"), "mine.json: no valid JSON array");
    EXPECT_EQ(message("", "mine.json"), "mine.json: is empty; expected CSV with a header line, or JSON");
    EXPECT_EQ(message(head + "a,MKV,train,1\n" + rest, "stability.csv"),
              "stability.csv: a task of the benchmark is called 'stability'; rename the file");
}

TEST(TaskFile, IsToldFromAName) {
    EXPECT_TRUE(is_task_file("my.csv"));
    EXPECT_TRUE(is_task_file("data/my"));
    EXPECT_TRUE(is_task_file("my.jsonl.xz"));
    EXPECT_FALSE(is_task_file("stability"));
    EXPECT_FALSE(is_task_file("ss3"));
}

} // namespace
} // namespace tape
