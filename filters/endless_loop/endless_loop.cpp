/// Hostile: never ends. Fuel or wall time end it.
int main() {
  volatile unsigned long turns = 0;
  while (true) turns = turns + 1;
}
