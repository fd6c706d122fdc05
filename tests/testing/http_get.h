// The answer of a local HTTP server to GET `path`, headers included; empty if it does not answer.
#ifndef ATTUNE_TESTS_TESTING_HTTP_GET_H_
#define ATTUNE_TESTS_TESTING_HTTP_GET_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

namespace attune {

// `address` is "127.0.0.1:port". Answers are read to the end of the connection.
inline std::string HttpGet(const std::string& address, const std::string& path) {
  const size_t colon = address.rfind(':');
  sockaddr_in peer{};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(static_cast<uint16_t>(std::atoi(address.c_str() + colon + 1)));
  inet_pton(AF_INET, address.substr(0, colon).c_str(), &peer.sin_addr);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  std::string answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&peer), sizeof(peer)) == 0) {
    const std::string request =
        "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\nConnection: close\r\n\r\n";
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
      std::array<char, 4096> buffer;
      ssize_t count = 0;
      while ((count = ::recv(fd, buffer.data(), buffer.size(), 0)) > 0) {
        answer.append(buffer.data(), static_cast<size_t>(count));
      }
    }
  }
  ::close(fd);
  return answer;
}

}  // namespace attune

#endif  // ATTUNE_TESTS_TESTING_HTTP_GET_H_
