#include "spec/dataset_messages.h"

#include <string>

#include "gtest/gtest.h"

namespace attune {
namespace {

TEST(DatasetMessagesTest, MessagesKeepTheirKeysAndTheirOrder) {
  const RowJson list = RowJson::parse(R"([{"name": "Z", "content": "a", "role": "user"}])");
  RowJson messages;
  EXPECT_EQ(ReadMessages("\"m\"", list, &messages), "");
  EXPECT_EQ(messages.dump(), R"([{"name":"Z","content":"a","role":"user"}])");
}

TEST(DatasetMessagesTest, PartsOfTextAreJoinedAndSpeakersRenamed) {
  const RowJson list = RowJson::parse(
      R"([{"from": "system", "value": "s"}, {"role": "user",
           "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}])");
  RowJson messages;
  EXPECT_EQ(ReadMessages("\"m\"", list, &messages), "");
  EXPECT_EQ(messages.dump(),
            R"([{"role":"system","content":"s"},{"role":"user","content":"ab"}])");
}

TEST(DatasetMessagesTest, TheResponseIsTakenOffTheEnd) {
  RowJson messages = RowJson::parse(
      R"([{"role": "user", "content": "p"}, {"role": "assistant", "content": "r"}])");
  std::string text;
  EXPECT_EQ(TakeResponse("\"m\"", &messages, &text), "");
  EXPECT_EQ(text, "r");
  EXPECT_EQ(messages.size(), 1u);
  EXPECT_NE(TakeResponse("\"m\"", &messages, &text), "");
}

TEST(DatasetMessagesTest, AResponseIsOneMessage) {
  std::string text;
  EXPECT_EQ(ReadResponse("\"m\"", RowJson("t"), &text), "");
  EXPECT_EQ(text, "t");
  const RowJson two = RowJson::parse(
      R"([{"role": "assistant", "content": "p"}, {"role": "assistant", "content": "r"}])");
  EXPECT_EQ(ReadResponse("\"m\"", two, &text),
            "\"m\" has 2 messages; must be one, of the role assistant");
}

}  // namespace
}  // namespace attune
