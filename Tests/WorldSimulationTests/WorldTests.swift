import Testing
import WorldSimulation
